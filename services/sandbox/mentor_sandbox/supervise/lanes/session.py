"""Server. The server's end of one session's process: cells in, results out, interrupts, limits, its end.

Between cells the process is stopped (SIGSTOP): threads that a cell left behind use no CPU and write nothing while
nobody waits for the session. A cell is given to a process that is known to be stopped, which is then continued once.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mentor.errors import InfrastructureError
from mentor_sandbox.results import Answer, CallResult, Status
from mentor_sandbox.settings import MIB, SandboxSettings
from mentor_sandbox.supervise import to_inside
from mentor_sandbox.supervise.files import scratch
from mentor_sandbox.supervise.from_inside import cell_of, next_frame
from mentor_sandbox.supervise.limits import Limits, overfull
from mentor_sandbox.supervise.processes.kept import Kept
from mentor_sandbox.supervise.processes.outputs import Printed
from mentor_sandbox.supervise.processes.pool import Pool
from mentor_sandbox.supervise.processes.zygote import Exit, ZygoteProcess
from mentor_sandbox.supervise.verdicts import ended, flooded, forged, result

_PERIOD_S = 0.02
_SCRATCH_PERIOD_S = 0.25
_LOWER_AFTER_S = 0.05


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
        self.ended: str | None = None
        self.cells = 0
        self.uid = -1
        self._last_printed: Printed | None = None
        self.scratch: Path

    async def start(self, zygote: ZygoteProcess, limits: Limits) -> None:
        """Fork it and wait until its walls stand.

        Raises:
            InfrastructureError: it could not be started.
        """
        self._limits = limits
        try:
            self._kept = Kept(self._pool, zygote, "session")
            self.uid, self.scratch, self._exit = self._kept.uid, self._kept.scratch, self._kept.ended
            await self._begin()
        except BaseException:
            self.close("it did not start")
            raise

    async def _begin(self) -> None:
        self._reader, self._writer = await asyncio.open_unix_connection(sock=self._kept.ours)
        self._writer.write(to_inside.request({"role": "session"}, self.scratch, self._limits))
        try:
            async with asyncio.timeout(self._settings.startup_timeout_s):
                begun = await self._frame()
        except TimeoutError:
            begun = None
        if begun is None:
            raise InfrastructureError("the session's process did not start")
        self._paused = self._kept.pause()

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
        self._kept.outputs.empty()
        self._kept.signal(signal.SIGCONT)
        self._writer.write(to_inside.cell(nonce, code, self.cells))
        answer = asyncio.create_task(self._frame())
        try:
            cause = await self._watch(answer, started, timeout_s)
        finally:
            answer.cancel()
        payload = answer.result() if answer.done() and not answer.cancelled() else None
        said = None if payload is None else cell_of(payload, nonce)
        if said is None or cause == "scratch":
            return self._cell(await self._end(cause, broken=payload is not None and cause is None), {}, started)
        self._paused = self._kept.pause()
        found, texts = said
        if cause == "timeout":
            message = f"the cell exceeded its time limit of {timeout_s:g} s and was interrupted"
            found = Status.TIMEOUT, None, "Timeout", message
        return self._cell(found, texts, started)

    async def _watch(self, answer: asyncio.Task[bytes | None], started: float, timeout_s: float) -> str | None:
        """Wait for the answer or the end; the limit that was hit, if one was."""
        cause: str | None = None
        checked = lowered = started
        while not (answer.done() or self._exit.done()):
            await asyncio.wait((answer, self._exit), timeout=_PERIOD_S, return_when=asyncio.FIRST_COMPLETED)
            now = time.monotonic()
            if cause is None and now - started > timeout_s:
                cause = "timeout"
                self._kept.signal(signal.SIGINT)
            elif cause == "timeout" and now - started > timeout_s + self._settings.interrupt_grace_s:
                return cause
            elif now - checked > _SCRATCH_PERIOD_S:
                checked = now
                if scratch.exceeds(self.scratch, self._limits.scratch_bytes):
                    return "scratch"
            elif now - lowered > _LOWER_AFTER_S:
                lowered = now + 1.0
                self._kept.lower()
        # A process that ends closes its socket first: what is not there yet is about to come.
        missing = self._exit if answer.done() and answer.result() is None else answer
        await asyncio.wait((missing,), timeout=1.0)
        return cause

    async def _end(self, cause: str | None, broken: bool) -> Answer:
        """Kill what is left of it, and say why the cell failed."""
        died = self._exit.done()
        if not died:
            self._killed(cause or "protocol")
            self._kept.kill()
        found = _reason(await self._exited(), cause, broken or not died, self._settings)
        self.close(found[3])
        return found

    async def _exited(self) -> Exit | None:
        try:
            async with asyncio.timeout(self._settings.startup_timeout_s):
                return await asyncio.shield(self._exit)
        except (TimeoutError, InfrastructureError):
            return None

    def _cell(self, answer: Answer, texts: dict[str, str], started: float) -> CellResult:
        printed = self._printed
        return result(
            CellResult,
            flooded(answer, printed, self._settings, "the cell"),
            printed,
            duration_ms=round((time.monotonic() - started) * 1000, 3),
            text=texts.get("text", ""),
            traceback=texts.get("traceback", ""),
            cell=self.cells,
            session_ended=self.ended is not None,
        )

    @property
    def _printed(self) -> Printed:
        """What the cell has printed; once the process has ended, what it had printed by then."""
        return self._last_printed or self._kept.outputs.printed(self._settings.output_kb * 1024)

    async def _frame(self) -> bytes | None:
        return await next_frame(self._reader, self._settings.result_mb * MIB)

    def close(self, why: str) -> None:
        """End it and remove its files. Idempotent."""
        if self.ended is not None:
            return
        self.ended = why
        if not hasattr(self, "_kept"):
            return
        self._last_printed = self._printed
        self._kept.kill()
        if hasattr(self, "_writer"):
            self._writer.close()
        self._pool.spawn(self._release())

    async def _release(self) -> None:
        """Its user id and directory are free when nothing of it lives."""
        with contextlib.suppress(InfrastructureError):
            await asyncio.shield(self._exit)
        self._kept.release()


def _reason(end: Exit | None, cause: str | None, broken: bool, settings: SandboxSettings) -> Answer:
    if end is None:
        return Status.INFRASTRUCTURE, None, "Lost", "the session's process was lost"
    if cause == "timeout":
        message = "the cell did not end when it was interrupted; the session was killed"
        return Status.TIMEOUT, None, "Timeout", message
    if cause == "scratch":
        status, value, kind, message = overfull(settings.scratch_mb * MIB, "the session")
        return status, value, kind, f"{message} and was killed"
    if broken:
        return forged("the cell wrote to the result channel; the session was killed")
    return ended(end, "the session's process")
