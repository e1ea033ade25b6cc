"""Runs programs through the lane of untrusted code: same slots, same queue, same walls."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import time
from dataclasses import dataclass, field
from typing import Any

from mentor.errors import InfrastructureError, UserError
from mentor.rpc.context import remaining
from mentor_sandbox.results import Call, CallResult, Status, signal_name
from mentor_sandbox.settings import MIB, SandboxSettings
from mentor_sandbox.supervise.engine import Sandbox
from mentor_sandbox.supervise.files import transfer as files
from mentor_sandbox.supervise.lanes.items import Item
from mentor_sandbox.supervise.lanes.untrusted import answer_of
from mentor_sandbox.supervise.processes.execution import Execution, Limits, Outcome
from mentor_sandbox.supervise.registry import kind_for

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
        sandbox.require(LANE)
        given = files.checked(program.files, self._settings)
        fetch = self._fetch(program.fetch)
        limits = self._limits(program)
        sandbox.admit(0, 1)
        future: asyncio.Future[ProgramResult] = asyncio.get_running_loop().create_future()

        async def work(running: Any) -> ProgramResult:
            return await self._execute(program, given, fetch, limits, running)

        item = self._item(program, limits, future)
        item.work = work
        sandbox.untrusted.submit([item])
        try:
            return await future
        except asyncio.CancelledError:
            sandbox.untrusted.cancel(item)
            raise

    def _item(self, program: Program, limits: Limits, future: asyncio.Future[ProgramResult]) -> Item:
        now = time.monotonic()
        metrics = self._sandbox.metrics

        def done(item: Item, answer: CallResult | Exception) -> None:
            if isinstance(answer, ProgramResult):
                metrics.count(LANE, LABEL, answer.status, time.monotonic() - now)
            elif isinstance(answer, InfrastructureError):
                metrics.count(LANE, LABEL, Status.INFRASTRUCTURE, None)
            if future.done():
                return
            if isinstance(answer, ProgramResult):
                future.set_result(answer)
            elif isinstance(answer, Exception):
                future.set_exception(answer)

        call = Call(source=program.code, function="__main__")
        expires = now + remaining(self._settings.queue_timeout_s)
        assert limits.timeout_s is not None
        return Item(call, None, limits.timeout_s, now, expires, 0, done)

    def _fetch(self, paths: tuple[str, ...]) -> tuple[str, ...]:
        most = self._settings.max_files
        if len(paths) > most:
            raise UserError(f"{len(paths)} files are too many", field="fetch_files", allowed=f"at most {most}")
        return tuple(files.checked_path(path, "fetch_files") for path in paths)

    def _limits(self, program: Program) -> Limits:
        """Limits of one program. More memory than the service gives at most is cut to that."""
        settings = self._settings
        limits = Limits.of(settings, checked_timeout(program.timeout_s, settings, settings.default_timeout_s))
        if program.memory_mb is None:
            return limits
        return limits.with_memory(min(program.memory_mb, settings.max_memory_mb) * MIB)

    async def _execute(
        self, program: Program, given: dict[str, bytes], fetch: tuple[str, ...], limits: Limits, running: Any
    ) -> ProgramResult:
        sandbox = self._sandbox
        source, hosts = sandbox.network.placed(program.code)
        zygote = await sandbox.pool.get("web" if hosts else kind_for(source))
        if hosts:
            limits = sandbox.network.open(limits, hosts)
        nonce = secrets.randbits(64)
        request = {"role": "program", "nonce": nonce, "code": source, "stdin": bool(program.stdin)}
        with sandbox.pool.uid() as uid, _Input(program.stdin) as stdin:
            execution = ProgramExecution(
                zygote, self._settings, sandbox.pool.scratch, sandbox.ticker, uid, given=given, fetch=fetch
            )
            execution.descriptors = stdin.descriptors
            running.execution = execution
            try:
                outcome = await execution.run(request, limits)
            finally:
                if execution.killed_for is not None:
                    sandbox.metrics.killed(execution.killed_for)
        return verdict(outcome, nonce, execution.files, self._settings)


class ProgramExecution(Execution):
    """With files put in before, and taken out after."""

    def __init__(self, *arguments: Any, given: dict[str, bytes], fetch: tuple[str, ...]) -> None:
        super().__init__(*arguments)
        self._given, self._fetch = given, fetch
        self.files: dict[str, bytes] = {}

    def before(self) -> None:
        """Files in."""
        files.write(self.scratch, self._given, self._uid)

    def after(self) -> None:
        """Files out."""
        self.files = files.read(self.scratch, self._fetch, self._settings.max_files_bytes)


class _Input:
    """A program's standard input in a memory file; no descriptor if there is none."""

    def __init__(self, text: str) -> None:
        self._text = text
        self.descriptors: tuple[int, ...] = ()

    def __enter__(self) -> _Input:
        if self._text:
            try:
                descriptor = os.memfd_create("stdin")
            except OSError as error:
                raise InfrastructureError(f"cannot prepare a program: {error.strerror}") from None
            self.descriptors = (descriptor,)
            _write_all(descriptor, self._text.encode("utf-8", "surrogateescape" if _escaped(self._text) else "replace"))
            os.lseek(descriptor, 0, os.SEEK_SET)
        return self

    def __exit__(self, *_: object) -> None:
        for descriptor in self.descriptors:
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


def checked_timeout(timeout_s: float | None, settings: SandboxSettings, default: float) -> float:
    """A time limit that the service allows.

    Raises:
        UserError: it is not between 0 and the service's own.
    """
    wanted = default if timeout_s is None else timeout_s
    most = settings.max_timeout_s
    if not 0 < wanted <= most:
        message = f"a time limit lies between 0 and {most:g} s, got {wanted:g}"
        raise UserError(message, field="timeout", allowed=f"0 to {most:g}")
    return wanted


def verdict(outcome: Outcome, nonce: int, fetched: dict[str, bytes], settings: SandboxSettings) -> ProgramResult:
    """What a program's end amounts to."""
    status, kind, message, exit_code = _end(outcome, nonce)
    flooded = max(outcome.stdout_bytes, outcome.stderr_bytes) >= settings.file_mb * MIB
    if flooded and status is Status.TOOL_ERROR:
        status, kind, message = Status.OUTPUT_LIMIT, "OutputLimit", f"it printed more than {settings.file_mb} MiB"
    cut = outcome.stdout_bytes > len(outcome.stdout), outcome.stderr_bytes > len(outcome.stderr)
    return ProgramResult(
        status=status,
        stdout=outcome.stdout.decode("utf-8", "replace"),
        stderr=outcome.stderr.decode("utf-8", "replace"),
        error_type=kind,
        error_message=message,
        truncated=any(cut),
        stdout_truncated=cut[0],
        stderr_truncated=cut[1],
        peak_memory_bytes=outcome.end.peak_kib * 1024,
        exit_code=exit_code,
        files=fetched,
        run_s=outcome.seconds,
    )


def _end(outcome: Outcome, nonce: int) -> tuple[Status, str, str, int | None]:
    end = outcome.end
    if outcome.limit is not None:
        return *outcome.limit, None
    if end.signal == signal.SIGXCPU:
        return Status.TIMEOUT, "CpuTimeout", "the program used up its CPU time", None
    if end.signal is not None:
        name = signal_name(end.signal)
        return Status.KILLED, name, f"the program was ended by {name}", -end.signal
    if end.code == 0:
        return Status.OK, "", "", 0
    claimed = answer_of(outcome.said, nonce)
    if claimed is not None and claimed[0] in (Status.TOOL_ERROR, Status.MEMORY):
        return claimed[0], claimed[2], claimed[3], end.code
    return Status.TOOL_ERROR, "SystemExit", f"exit code {end.code}", end.code
