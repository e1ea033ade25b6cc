"""Server. The server's end of one warm worker: sends it calls, takes results, keeps their time, notices its end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections import deque
from collections.abc import Sequence
from typing import Any, Protocol

from mentor.errors import InfrastructureError
from mentor_sandbox.results import Answer, CallResult
from mentor_sandbox.settings import MIB, SandboxSettings
from mentor_sandbox.supervise import to_inside
from mentor_sandbox.supervise.files import scratch
from mentor_sandbox.supervise.from_inside import Frames, done_of, result_of
from mentor_sandbox.supervise.lanes.items import Item, due, timed
from mentor_sandbox.supervise.limits import Limits, late, overfull
from mentor_sandbox.supervise.processes.kept import Kept
from mentor_sandbox.supervise.processes.pool import Pool
from mentor_sandbox.supervise.processes.zygote import Exit, ZygoteProcess
from mentor_sandbox.supervise.verdicts import ended, flooded, forged, result

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
        self._frames = Frames()
        self._seen = (0, 0)
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
        self._tickets, self._tickets_in = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        full = {
            **request,
            "role": "worker",
            "spare_kib": limits.memory_bytes // 2048,
            "max_calls": self._settings.worker_calls,
        }
        try:
            self._kept = Kept(self._pool, zygote, "worker", (self._tickets,))
        except BaseException:
            self._close_tickets()
            raise
        self.scratch, ours = self._kept.scratch, self._kept.ours
        self._kept.ended.add_done_callback(self._on_end)
        ours.setblocking(False)
        self._rest = ours.dup()
        transport, _ = await asyncio.get_running_loop().create_unix_connection(lambda: self, sock=ours)
        self._transport = transport
        transport.write(to_inside.request(full, self.scratch, limits))

    def send(self, items: Sequence[Item], numbers: Sequence[int]) -> None:
        """Give it calls; ``numbers`` are their tools' places in its list."""
        if not self.assigned:
            self.since = time.monotonic()
        self.assigned.extend(items)
        os.write(self._tickets_in, b"t" * len(items))
        calls = [(number, item.arguments) for number, item in zip(numbers, items, strict=True)]
        self._transport.write(to_inside.calls(calls))

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
            self._kept.kill()

    def signal(self, number: signal.Signals) -> None:
        """Stop or continue it."""
        self._kept.signal(number)

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
                self._kept.lower(lambda: self._owner.computes(self))

    def data_received(self, data: bytes) -> None:
        """Results, or the first frame, which says that the tools are loaded."""
        for payload in self._frames.feed(data):
            if self.state == "starting":
                self.state = "ready"
                self._owner.ready(self)
            elif self.assigned:
                self._take(payload)

    def _take(self, payload: bytes) -> None:
        item, now = self.assigned.popleft(), time.monotonic()
        seconds, self.since = now - self.since, now
        self.long = False
        said = done_of(payload)
        reason, self._peak_kib = said.reason, said.peak_kib
        answer = result_of(said.result, 0)
        if answer is None:
            self.kill("protocol")
            answer = forged("the worker broke its protocol")
        settled = self._settled(answer, (said.out, said.err))
        if reason:
            self.retire(reason)
        elif not self.assigned and any(self._seen):
            self._forget_output()
        item.done(item, timed(settled, now - item.admitted))
        self._owner.answered(self, item, seconds)
        if self.state == "retiring":
            self.retire(reason)
        else:
            self._owner.ready(self)

    def _settled(self, answer: Answer, end: tuple[int, int]) -> CallResult:
        """A result, with what was printed since the last one."""
        printed = self._kept.outputs.printed(self._settings.output_kb * 1024, self._seen, end)
        self._seen = end
        answer = flooded(answer, printed, self._settings, "the call")
        return result(CallResult, answer, printed, peak_memory_bytes=self._peak_kib * 1024)

    def _forget_output(self) -> None:
        """Nothing runs: what was printed has been read. The files are opened for appending, so writing starts anew."""
        self._kept.outputs.empty()
        self._seen = (0, 0)

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
        return self._settled(self._why(timeout_s, self._exit), self._kept.outputs.sizes)

    def _why(self, timeout_s: float, end: Exit) -> Answer:
        if self._limit_hit:
            return late(timeout_s)
        if self._killed_for == "scratch":
            return overfull(self._settings.scratch_mb * MIB)
        return ended(end, "the process", " before the call returned")

    def _release(self) -> None:
        self._close_tickets()
        self._kept.release()

    def _close_tickets(self) -> None:
        for descriptor in (self._tickets, self._tickets_in):
            os.close(descriptor)
