"""The server's end of one session's process: cells in, results out, interrupts, limits, its end.

Between cells the process is stopped (SIGSTOP): threads that a cell left behind use no CPU and write nothing while
nobody waits for the session. A cell is given to a process that is known to be stopped, which is then continued once.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import marshal
import os
import secrets
import signal
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mentor.errors import InfrastructureError
from mentor_sandbox.results import CallResult, Status, signal_name
from mentor_sandbox.settings import MIB, SandboxSettings
from mentor_sandbox.supervise.files import scratch
from mentor_sandbox.supervise.lanes.untrusted import is_json
from mentor_sandbox.supervise.processes.execution import Limits
from mentor_sandbox.supervise.processes.pool import Pool
from mentor_sandbox.supervise.processes.zygote import Exit, ZygoteProcess
from mentor_sandbox.wire.said import FRAME, RESULT_OVERHEAD, Result, frame, unpack_result

_PERIOD_S = 0.02
_SCRATCH_PERIOD_S = 0.25
_LOWER_AFTER_S = 0.05
_SLACK = 1_000_000
"""Of a frame beyond its value: texts and tracebacks."""


@dataclass(frozen=True, slots=True)
class CellResult(CallResult):
    """``value_json`` is the last expression's value, None if the cell does not end with one."""

    text: str = ""
    traceback: str = ""
    cell: int = 0
    session_ended: bool = False


class SessionProcess:
    """One session's process. ``ended`` says why it is gone, None while it lives."""

    def __init__(self, settings: SandboxSettings, pool: Pool, killed: Callable[[str], None]) -> None:
        self._settings = settings
        self._pool = pool
        self._killed = killed
        self._stack = ExitStack()
        self.ended: str | None = None
        self.cells = 0
        self.uid = -1
        self._last_printed: list[tuple[bytes, bool]] | None = None
        self.scratch: Path

    async def start(self, zygote: ZygoteProcess, limits: Limits) -> None:
        """Fork it and wait until its walls stand.

        Raises:
            InfrastructureError: it could not be started.
        """
        self._zygote, self._limits = zygote, limits
        try:
            self.uid = self._stack.enter_context(self._pool.uid())
            self.scratch = self._pool.scratch.new("session", self.uid)
            await self._fork()
        except BaseException:
            self.close("it did not start")
            raise

    async def _fork(self) -> None:
        limits = self._limits
        ours, theirs = socket.socketpair()
        self._outputs = [self._output(name) for name in ("stdout", "stderr")]
        with theirs:
            self._call, self._exit = self._zygote.fork((theirs.fileno(), *self._outputs), self.uid)
        self._reader, self._writer = await asyncio.open_unix_connection(sock=ours)
        request = {
            "role": "session",
            "scratch": str(self.scratch),
            "cpu_s": None,
            "memory_bytes": limits.memory_bytes,
            "ports": limits.ports,
            "environment": limits.environment,
        }
        self._writer.write(frame(marshal.dumps(request)))
        try:
            async with asyncio.timeout(self._settings.startup_timeout_s):
                begun = await self._frame()
        except TimeoutError:
            begun = None
        if begun is None:
            raise InfrastructureError("the session's process did not start")
        self._paused = self._zygote.pause(self._call)

    def _output(self, name: str) -> int:
        """A memory file that is written at its end, so that it can be emptied between cells."""
        descriptor = os.memfd_create(name)
        self._stack.callback(os.close, descriptor)
        fcntl.fcntl(descriptor, fcntl.F_SETFL, os.O_APPEND | fcntl.fcntl(descriptor, fcntl.F_GETFL))
        return descriptor

    @property
    def lost(self) -> str | None:
        """Why it cannot be used any more, None if it can."""
        if self.ended is not None or self._exit.done():
            return self.ended or "its process ended between cells"
        try:
            self.scratch.lstat()
        except FileNotFoundError:
            return "its files are gone"
        except OSError:
            pass  # Its root is being mended.
        return None

    async def execute(self, code: str, timeout_s: float) -> CellResult:
        """Run a cell. If the process ends in its course, ``session_ended`` is set and ``ended`` says why."""
        self.cells += 1
        # Signals take the way through the zygote and cells do not. A cell that came before the last stop and this
        # continuation would run under both, and one that stops itself would be continued.
        await self._paused
        started = time.monotonic()
        nonce = secrets.randbits(64)
        self._empty_outputs()
        self._zygote.signal(self._call, signal.SIGCONT)
        self._writer.write(frame(marshal.dumps({"nonce": nonce, "code": code, "number": self.cells})))
        answer = asyncio.create_task(self._frame())
        try:
            cause = await self._watch(answer, started, timeout_s)
        finally:
            answer.cancel()
        payload = answer.result() if answer.done() and not answer.cancelled() else None
        result = None if payload is None else _checked(unpack_result(payload, nonce))
        if result is None or cause == "scratch":
            status, kind, message = await self._end(cause, forged=payload is not None and cause is None)
            return self._cell(status, None, kind, {"message": message}, started)
        self._paused = self._zygote.pause(self._call)
        return self._settled(result, cause, timeout_s, started)

    async def _watch(self, answer: asyncio.Task[bytes | None], started: float, timeout_s: float) -> str | None:
        """Wait for the answer or the end; the limit that was hit, if one was."""
        cause: str | None = None
        checked = lowered = started
        while not (answer.done() or self._exit.done()):
            await asyncio.wait((answer, self._exit), timeout=_PERIOD_S, return_when=asyncio.FIRST_COMPLETED)
            now = time.monotonic()
            if cause is None and now - started > timeout_s:
                cause = "timeout"
                self._zygote.signal(self._call, signal.SIGINT)
            elif cause == "timeout" and now - started > timeout_s + self._settings.interrupt_grace_s:
                return cause
            elif now - checked > _SCRATCH_PERIOD_S:
                checked = now
                if scratch.exceeds(self.scratch, self._limits.scratch_bytes):
                    return "scratch"
            elif now - lowered > _LOWER_AFTER_S:
                lowered = now + 1.0
                self._zygote.lower(self._call, lambda: None)
        # A process that ends closes its socket first: what is not there yet is about to come.
        missing = self._exit if answer.done() and answer.result() is None else answer
        await asyncio.wait((missing,), timeout=1.0)
        return cause

    def _settled(self, result: Result, cause: str | None, timeout_s: float, started: float) -> CellResult:
        status, value, kind, note = result
        texts = _texts(note)
        if cause == "timeout":
            texts["message"] = f"the cell exceeded its time limit of {timeout_s:g} s and was interrupted"
            return self._cell(Status.TIMEOUT, None, "Timeout", texts, started)
        sizes = [os.fstat(output).st_size for output in self._outputs]
        if status == "tool_error" and max(sizes) >= self._settings.file_mb * MIB:
            status, kind = "output_limit", "OutputLimit"
            texts["message"] = f"the cell printed more than {self._settings.file_mb} MiB"
        value = None if kind == "none" and status == "ok" else value
        return self._cell(Status(status), value, "" if status == "ok" else kind, texts, started)

    async def _end(self, cause: str | None, forged: bool) -> tuple[Status, str, str]:
        """Kill what is left of it, and say why the cell failed."""
        died = self._exit.done()
        if not died:
            self._killed(cause or "protocol")
            self._zygote.kill(self._call)
        found = _reason(await self._exited(), cause, forged or not died, self._settings)
        self.close(found[2])
        return found

    async def _exited(self) -> Exit | None:
        try:
            async with asyncio.timeout(self._settings.startup_timeout_s):
                return await asyncio.shield(self._exit)
        except (TimeoutError, InfrastructureError):
            return None

    def _cell(self, status: Status, value: str | None, kind: str, texts: dict[str, str], started: float) -> CellResult:
        (out, out_cut), (err, err_cut) = self._printed
        return CellResult(
            status=status,
            value_json=value,
            stdout=out.decode("utf-8", "replace"),
            stderr=err.decode("utf-8", "replace"),
            error_type=kind,
            error_message=texts.get("message", ""),
            duration_ms=round((time.monotonic() - started) * 1000, 3),
            truncated=out_cut or err_cut,
            stdout_truncated=out_cut,
            stderr_truncated=err_cut,
            text=texts.get("text", ""),
            traceback=texts.get("traceback", ""),
            cell=self.cells,
            session_ended=self.ended is not None,
        )

    @property
    def _printed(self) -> list[tuple[bytes, bool]]:
        """Of standard output and error: what is returned, and whether there is more."""
        if self._last_printed is not None:
            return self._last_printed
        keep = self._settings.output_kb * 1024
        return [(os.pread(output, keep, 0), os.fstat(output).st_size > keep) for output in self._outputs]

    def _empty_outputs(self) -> None:
        for output in self._outputs:
            os.ftruncate(output, 0)

    async def _frame(self) -> bytes | None:
        """The next frame; None if there is none, empty if it is too large."""
        try:
            (size,) = FRAME.unpack(await self._reader.readexactly(FRAME.size))
            if size > RESULT_OVERHEAD + self._settings.result_mb * MIB + _SLACK:
                return b""
            return await self._reader.readexactly(size)
        except (asyncio.IncompleteReadError, OSError):
            return None

    def close(self, why: str) -> None:
        """End it and remove its files. Idempotent."""
        if self.ended is not None:
            return
        self.ended = why
        if hasattr(self, "_call"):
            self._last_printed = self._printed
            self._zygote.kill(self._call)
        if hasattr(self, "_writer"):
            self._writer.close()
        self._pool.spawn(self._release())

    async def _release(self) -> None:
        """Its user id and directory are free when nothing of it lives."""
        if hasattr(self, "_exit"):
            with contextlib.suppress(InfrastructureError):
                await asyncio.shield(self._exit)
        self._stack.close()
        if hasattr(self, "scratch"):
            await scratch.remove(self.scratch)


def _checked(result: Result | None) -> Result | None:
    """A result whose value is JSON; None for anything else."""
    if result is None:
        return None
    status, value, kind, note = result
    if status == "ok" and kind == "none":
        return status, None, kind, note
    return result if value is None or is_json(value) else None


def _texts(note: str) -> dict[str, str]:
    """What a session's process adds to a result: made by it, so believed in nothing."""
    try:
        found: Any = json.loads(note)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {str(k): v.encode("utf-8", "backslashreplace").decode() for k, v in found.items() if isinstance(v, str)}


def _reason(end: Exit | None, cause: str | None, forged: bool, settings: SandboxSettings) -> tuple[Status, str, str]:
    if end is None:
        return Status.INFRASTRUCTURE, "Lost", "the session's process was lost"
    if cause == "timeout":
        return Status.TIMEOUT, "Timeout", "the cell did not end when it was interrupted; the session was killed"
    if cause == "scratch":
        message = f"the session wrote more than {settings.scratch_mb} MiB of files and was killed"
        return Status.OUTPUT_LIMIT, "ScratchLimit", message
    if forged:
        return Status.KILLED, "ForgedResult", "the cell wrote to the result channel; the session was killed"
    if end.signal is not None:
        name = signal_name(end.signal)
        return Status.KILLED, name, f"the session's process was ended by {name}"
    return Status.KILLED, "Exited", f"the session's process exited with code {end.code}"
