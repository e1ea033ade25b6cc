"""The server's end of one warm worker: sends it calls, takes results, keeps their time, notices its end."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import marshal
import os
import signal
import socket
import time
from collections import deque
from collections.abc import Sequence
from typing import Any, Protocol

from mentor.errors import InfrastructureError
from mentor_sandbox.results import CallResult, Status, signal_name
from mentor_sandbox.settings import MIB, SandboxSettings
from mentor_sandbox.supervise.files import scratch
from mentor_sandbox.supervise.lanes.items import Item, due, timed
from mentor_sandbox.supervise.lanes.untrusted import is_json
from mentor_sandbox.supervise.processes.execution import Limits
from mentor_sandbox.supervise.processes.pool import Pool
from mentor_sandbox.supervise.processes.zygote import Exit, ZygoteProcess
from mentor_sandbox.wire.said import DONE, FRAME, frame, unpack_result

_LONG_S = 0.1
"""A worker that computes longer loses its priority, and then its place: it cannot get the priority back."""


class Owner(Protocol):
    """What a worker tells of itself."""

    def ready(self, worker: WorkerProcess) -> None:
        """It takes calls, for the first time or again."""

    def answered(self, worker: WorkerProcess, item: Item, seconds: float) -> None:
        """A call ended."""

    def computes(self, worker: WorkerProcess) -> None:
        """Its call is a long computation."""

    def returned(self, items: Sequence[Item]) -> None:
        """Calls that it was given and has not started."""

    def gone(self, worker: WorkerProcess, reason: str) -> None:
        """It has ended."""


class WorkerProcess(asyncio.Protocol):
    """One worker. ``assigned`` are its calls: the first one runs since ``since``, the others wait in its socket."""

    def __init__(self, owner: Owner, settings: SandboxSettings, pool: Pool) -> None:
        self.assigned: deque[Item] = deque()
        self.since = 0.0
        self.state = "starting"
        self.long = False
        self._owner = owner
        self._settings = settings
        self._pool = pool
        self._buffer = bytearray()
        self._seen = [0, 0]
        self._killed_for: str | None = None
        self._reason = ""
        self._limit_hit = False
        self._checked = 0.0
        self._exit: Exit | None = None
        self._lost: InfrastructureError | None = None
        self._closed = self._reaped = False
        self._peak_kib = 0

    async def start(self, zygote: ZygoteProcess, request: dict[str, Any], limits: Limits) -> None:
        """Fork it and hand it its tools; ``Owner.ready`` follows.

        Raises:
            InfrastructureError: no process could be started.
        """
        self._uids = self._pool.uid()
        uid = self._uids.__enter__()
        try:
            self.scratch = self._pool.scratch.new("worker", uid)
        except InfrastructureError:
            self._uids.__exit__(None, None, None)
            raise
        ours, theirs = socket.socketpair()
        self._outputs = [_memory_file(name) for name in ("stdout", "stderr")]
        self._tickets, self._tickets_in = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        full = {
            **request,
            "role": "worker",
            "scratch": str(self.scratch),
            "cpu_s": None,
            "memory_bytes": limits.memory_bytes,
            "spare_kib": limits.memory_bytes // 2048,
            "max_calls": self._settings.worker_calls,
            "ports": limits.ports,
            "environment": limits.environment,
        }
        self._zygote = zygote
        try:
            with theirs:
                descriptors = (theirs.fileno(), *self._outputs, self._tickets)
                self._call, ended = zygote.fork(descriptors, uid)
        except InfrastructureError:
            ours.close()
            self._release()
            raise
        ended.add_done_callback(self._on_end)
        ours.setblocking(False)
        self._rest = ours.dup()
        transport, _ = await asyncio.get_running_loop().create_unix_connection(lambda: self, sock=ours)
        self._transport = transport
        transport.write(frame(marshal.dumps(full)))

    def send(self, items: Sequence[Item], numbers: Sequence[int]) -> None:
        """Give it calls; ``numbers`` are their tools' places in its list."""
        if not self.assigned:
            self.since = time.monotonic()
        self.assigned.extend(items)
        os.write(self._tickets_in, b"t" * len(items))
        calls = [(number, item.arguments) for number, item in zip(numbers, items, strict=True)]
        self._transport.write(frame(marshal.dumps(calls)))

    def retire(self, reason: str) -> None:
        """Take back what it has not started and let it end after what it runs."""
        if self.state == "dead":
            return
        self.state = "retiring"
        self._reason = self._reason or reason
        self._take_back()
        if not self.assigned and not self._transport.is_closing():
            self._transport.write_eof()

    def kill(self, cause: str) -> None:
        """End it now."""
        if self._killed_for is None:
            self._killed_for = cause
            self.state = "retiring"
            self._zygote.kill(self._call)

    def signal(self, number: signal.Signals) -> None:
        """Stop or continue it."""
        self._zygote.signal(self._call, number)

    def tick(self, now: float) -> None:
        """Keep the running call's time."""
        if not self.assigned or self._killed_for is not None:
            return
        running, head = now - self.since, self.assigned[0]
        if running > head.timeout_s:
            self._limit_hit = True
            self.kill("timeout")
        elif due(running, now - self._checked):
            self._checked = now
            if head.cancelled:
                self.kill("cancelled")
            elif scratch.exceeds(self.scratch, self._settings.scratch_mb * MIB):
                self.kill("scratch")
            elif running > _LONG_S:
                self._zygote.lower(self._call, lambda: self._owner.computes(self))

    def data_received(self, data: bytes) -> None:
        """Results, or the first frame, which says that the tools are loaded."""
        self._buffer += data
        while len(self._buffer) >= FRAME.size:
            (length,) = FRAME.unpack_from(self._buffer)
            end = FRAME.size + length
            if len(self._buffer) < end:
                return
            payload = bytes(self._buffer[FRAME.size : end])
            del self._buffer[:end]
            if self.state == "starting":
                self.state = "ready"
                self._owner.ready(self)
            elif self.assigned:
                self._take(payload)

    def _take(self, payload: bytes) -> None:
        item, now = self.assigned.popleft(), time.monotonic()
        seconds, self.since = now - self.since, now
        self.long = False
        out, err, peak, size = DONE.unpack_from(payload)
        reason = payload[DONE.size : DONE.size + size].decode("ascii", "replace")
        self._peak_kib = peak
        result = self._result(payload[DONE.size + size :], out, err)
        if reason:
            self.retire(reason)
        elif not self.assigned and any(self._seen):
            self._forget_output()
        item.done(item, timed(result, now - item.admitted))
        self._owner.answered(self, item, seconds)
        if self.state == "retiring":
            self.retire(reason)
        else:
            self._owner.ready(self)

    def _result(self, packed: bytes, out: int, err: int) -> CallResult:
        result = unpack_result(packed, 0)
        if result is None or (result[1] is not None and not is_json(result[1])):
            self.kill("protocol")
            return self._completed(Status.KILLED, None, "ForgedResult", "the worker broke its protocol", out, err)
        status, value, kind, message = result
        flooded = max(out - self._seen[0], err - self._seen[1]) >= self._settings.file_mb * MIB
        if flooded and status == "tool_error":
            status, kind = "output_limit", "OutputLimit"
            message = f"the call printed more than {self._settings.file_mb} MiB"
        return self._completed(Status(status), value, kind, message, out, err)

    def _completed(self, status: Status, value: str | None, kind: str, message: str, out: int, err: int) -> CallResult:
        stdout, stderr = self._printed(0, out), self._printed(1, err)
        cut = out - self._seen[0] > len(stdout), err - self._seen[1] > len(stderr)
        self._seen = [out, err]
        return CallResult(
            status=status,
            value_json=value,
            stdout=stdout.decode("utf-8", "replace") if stdout else "",
            stderr=stderr.decode("utf-8", "replace") if stderr else "",
            error_type=kind,
            error_message=message,
            truncated=cut[0] or cut[1],
            stdout_truncated=cut[0],
            stderr_truncated=cut[1],
            peak_memory_bytes=self._peak_kib * 1024,
        )

    def _printed(self, stream: int, end: int) -> bytes:
        size = min(end - self._seen[stream], self._settings.output_kb * 1024)
        return os.pread(self._outputs[stream], size, self._seen[stream]) if size > 0 else b""

    def _forget_output(self) -> None:
        """Nothing runs: what was printed has been read. The files are opened for appending, so writing starts anew."""
        for output in self._outputs:
            os.ftruncate(output, 0)
        self._seen = [0, 0]

    def _take_back(self) -> None:
        with contextlib.suppress(BlockingIOError):
            count = len(os.read(self._tickets, 65536))
            items = [self.assigned.pop() for _ in range(min(count, len(self.assigned)))]
            self._owner.returned(items[::-1])

    def connection_lost(self, error: Exception | None) -> None:
        """Nothing more will be said. A write that failed closes the transport with results still unread."""
        with self._rest, contextlib.suppress(OSError):
            while data := self._rest.recv(65536):
                self.data_received(data)
        self._closed = True
        self._finish()

    def _on_end(self, ended: asyncio.Future[Exit]) -> None:
        self._reaped = True
        if (error := ended.exception()) is not None:
            self._lost = InfrastructureError(str(error))
        else:
            self._exit = ended.result()
        self._finish()

    def _finish(self) -> None:
        """When both the process and its socket are gone."""
        if not (self._closed and self._reaped) or self.state == "dead":
            return
        self.state = "dead"
        self._take_back()
        if self.assigned:
            item = self.assigned.popleft()
            item.done(item, self._lost or timed(self._death(item.timeout_s), time.monotonic() - item.admitted))
            self._owner.returned(list(self.assigned))
            self.assigned.clear()
        self._release()
        self._owner.gone(self, self._killed_for or self._reason or ("zygote" if self._lost else "died"))

    def _death(self, timeout_s: float) -> CallResult:
        """The result of the call in whose course the worker ended."""
        assert self._exit is not None
        self._peak_kib = self._exit.peak_kib
        out, err = (os.fstat(output).st_size for output in self._outputs)
        if self._limit_hit:
            message = f"the call exceeded its time limit of {timeout_s:g} s"
            return self._completed(Status.TIMEOUT, None, "Timeout", message, out, err)
        if self._killed_for == "scratch":
            message = f"the call wrote more than {self._settings.scratch_mb} MiB of files"
            return self._completed(Status.OUTPUT_LIMIT, None, "ScratchLimit", message, out, err)
        if self._exit.signal is not None:
            name = signal_name(self._exit.signal)
            return self._completed(Status.KILLED, None, name, f"the process was ended by {name}", out, err)
        message = f"the process exited with code {self._exit.code} before the call returned"
        return self._completed(Status.KILLED, None, "Exited", message, out, err)

    def _release(self) -> None:
        for descriptor in (*self._outputs, self._tickets, self._tickets_in):
            os.close(descriptor)
        self._uids.__exit__(None, None, None)
        self._pool.spawn(scratch.remove(self.scratch))


def _memory_file(name: str) -> int:
    """A memory file that is written at its end, so that it can be emptied while a worker has it open."""
    descriptor = os.memfd_create(name)
    fcntl.fcntl(descriptor, fcntl.F_SETFL, os.O_APPEND | fcntl.fcntl(descriptor, fcntl.F_GETFL))
    return descriptor
