"""Server. Whole programs: files and input in, a fork of the lane of untrusted code, exit code and files out."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from mentor.errors import InfrastructureError, UserError
from mentor_sandbox.results import Answer, CallResult, Status
from mentor_sandbox.settings import SandboxSettings
from mentor_sandbox.supervise.engine import Sandbox
from mentor_sandbox.supervise.files import transfer
from mentor_sandbox.supervise.from_inside import answer_of
from mentor_sandbox.supervise.lanes.untrusted import Errand, Slot
from mentor_sandbox.supervise.limits import Limits, checked_timeout
from mentor_sandbox.supervise.processes.execution import Luggage, Outcome
from mentor_sandbox.supervise.verdicts import cpu_spent, ended, flooded, result

LANE, LABEL = "untrusted", "program"


@dataclass(frozen=True)
class Program:
    """A program and what it gets; ``fetch`` are paths of files to bring back. None: the service's own limit."""

    code: str
    stdin: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    fetch: tuple[str, ...] = ()
    timeout_s: float | None = None
    memory_mb: int | None = None


@dataclass(frozen=True, slots=True)
class ProgramResult(CallResult):
    """``exit_code``: None if it did not end by itself; negative: the signal that ended it. It has no value."""

    exit_code: int | None = None
    files: dict[str, bytes] = field(default_factory=dict)
    run_s: float = 0.0
    """From the moment its walls stood to its end."""


class Programs:
    """Runs programs in one sandbox."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._settings = sandbox.settings

    async def run(self, program: Program) -> ProgramResult:
        """Run one program.

        Raises:
            UserError: a limit or a file is not acceptable.
            ConflictError: this service serves another lane.
            OverloadedError, DeadlineError: the queue is full, or the caller's deadline passed in it.
            InfrastructureError: the program was lost; run it again.
        """
        sandbox = self._sandbox
        sandbox.admission.require(LANE)
        luggage = Luggage(transfer.checked(program.files, self._settings), self._fetch(program.fetch))
        timeout_s = checked_timeout(program.timeout_s, self._settings)
        limits = Limits.of(self._settings, timeout_s, program.memory_mb)

        async def work(slot: Slot) -> ProgramResult:
            return await self._execute(program, luggage, limits, slot)

        found = await sandbox.program(work, timeout_s, LABEL)
        assert isinstance(found, ProgramResult)
        return found

    def _fetch(self, paths: tuple[str, ...]) -> tuple[str, ...]:
        most = self._settings.max_files
        if len(paths) > most:
            raise UserError(f"{len(paths)} files are too many", field="fetch_files", allowed=f"at most {most}")
        return tuple(transfer.checked_path(path, "fetch_files") for path in paths)

    async def _execute(self, program: Program, luggage: Luggage, limits: Limits, slot: Slot) -> ProgramResult:
        source, hosts = self._sandbox.network.placed(program.code)
        nonce = secrets.randbits(64)
        request = {"role": "program", "nonce": nonce, "code": source, "stdin": bool(program.stdin)}
        with _input(program.stdin) as descriptors:
            errand = Errand(request, source, hosts, limits, luggage, descriptors)
            outcome = await self._sandbox.untrusted.fork(errand, slot)
        assert slot.execution is not None
        return verdict(outcome, nonce, slot.execution.files, self._settings)


@contextmanager
def _input(text: str) -> Iterator[tuple[int, ...]]:
    """A program's standard input in a memory file; no descriptor if there is none."""
    if not text:
        yield ()
        return
    try:
        descriptor = os.memfd_create("stdin")
    except OSError as error:
        raise InfrastructureError(f"cannot prepare a program: {error.strerror}") from None
    try:
        _write_all(descriptor, text.encode("utf-8", "surrogateescape" if _escaped(text) else "replace"))
        os.lseek(descriptor, 0, os.SEEK_SET)
        yield (descriptor,)
    finally:
        os.close(descriptor)


def _escaped(text: str) -> bool:
    try:
        text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return False
    return True


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def verdict(outcome: Outcome, nonce: int, fetched: dict[str, bytes], settings: SandboxSettings) -> ProgramResult:
    """What a program's end amounts to."""
    answer, exit_code = _end(outcome, nonce)
    return result(
        ProgramResult,
        flooded(answer, outcome.printed, settings, "it"),
        outcome.printed,
        peak_memory_bytes=outcome.end.peak_kib * 1024,
        exit_code=exit_code,
        files=fetched,
        run_s=outcome.seconds,
    )


def _end(outcome: Outcome, nonce: int) -> tuple[Answer, int | None]:
    end = outcome.end
    if outcome.limit is not None:
        return outcome.limit, None
    if (spent := cpu_spent(end, "the program")) is not None:
        return spent, None
    if end.signal is not None:
        return ended(end, "the program"), -end.signal
    if end.code == 0:
        return (Status.OK, None, "", ""), 0
    claimed = answer_of(outcome.said, nonce)
    if claimed is not None and claimed[0] in (Status.TOOL_ERROR, Status.MEMORY):
        return claimed, end.code
    return (Status.TOOL_ERROR, None, "SystemExit", f"exit code {end.code}"), end.code
