"""Server. All sessions of one sandbox: how many, whose turn, when they expire, and what became of those that are gone."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge

from mentor.errors import DeadlineError, NotFoundError, UserError
from mentor_sandbox.supervise.engine import Sandbox
from mentor_sandbox.supervise.files import scratch, transfer
from mentor_sandbox.supervise.lanes.session import CellResult, SessionProcess
from mentor_sandbox.supervise.limits import Limits, checked_idle, checked_timeout
from mentor_sandbox.supervise.processes.kinds import WEB

log = structlog.get_logger("sessions")
LANE, LABEL, KIND = "sessions", "cell", "scientific"
_REMEMBERED = 1024
_PERIOD_S = 0.5


@dataclass
class Session:
    """An open session. ``turn`` is held by the one request that uses it."""

    id: str
    process: SessionProcess
    idle_timeout_s: float
    opened: float
    used: float
    turn: asyncio.Lock

    @property
    def busy(self) -> bool:
        """Whether a request uses it."""
        return self.turn.locked()


class Sessions:
    """Opens, finds, expires and closes sessions."""

    def __init__(self, sandbox: Sandbox, registry: CollectorRegistry) -> None:
        self._sandbox = sandbox
        self._settings = sandbox.settings
        self._open: dict[str, Session] = {}
        self._starting = 0
        self._gone: OrderedDict[str, str] = OrderedDict()
        self._cells: set[asyncio.Task[CellResult]] = set()
        Gauge("mentor_sandbox_sessions", "Open sessions.", registry=registry).set_function(lambda: len(self._open))
        self._ended = Counter(
            "mentor_sandbox_sessions_ended_total",
            "Sessions that ended: closed by their client, expired, killed, or lost with their zygote.",
            ("reason",),
            registry=registry,
        )
        for reason in ("closed", "expired", "killed"):
            self._ended.labels(reason)

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """Expire sessions while the block lasts; close all at its end."""
        janitor = asyncio.create_task(self._expire())
        try:
            yield
        finally:
            janitor.cancel()
            for session in list(self._open.values()):
                self._end(session, "closed", "the sandbox shut down")
            await asyncio.gather(janitor, *self._cells, return_exceptions=True)

    @property
    def count(self) -> int:
        """Open sessions."""
        return len(self._open)

    async def create(
        self, given: Mapping[str, bytes], memory_mb: int | None = None, idle_timeout_s: float | None = None
    ) -> Session:
        """A new session with these files.

        Raises:
            UserError: a limit or a file is not acceptable.
            ConflictError: this service serves another lane.
            OverloadedError: there are as many sessions as there may be.
            InfrastructureError: it could not be started.
        """
        self._sandbox.admission.require(LANE)
        checked = transfer.checked(given, self._settings)
        idle_s = checked_idle(idle_timeout_s, self._settings)
        limits = Limits.of(self._settings, None, memory_mb)
        self._sandbox.admission.admit_session(len(self._open) + self._starting)
        self._starting += 1
        try:
            process = await self._start(limits)
        finally:
            self._starting -= 1
        now = time.monotonic()
        session = Session(secrets.token_hex(16), process, idle_s, now, now, asyncio.Lock())
        self._open[session.id] = session
        transfer.write(process.scratch, checked, process.uid)
        return session

    async def _start(self, limits: Limits) -> SessionProcess:
        sandbox = self._sandbox
        _, hosts = sandbox.network.placed("")
        limits = sandbox.network.open(limits, hosts)
        process = SessionProcess(self._settings, sandbox.pool, sandbox.metrics.killed)
        await process.start(await sandbox.pool.get(WEB if hosts else KIND), limits)
        return process

    async def execute(self, name: str, code: str, timeout_s: float | None) -> CellResult:
        """Run a cell. A client that goes away does not end it: the session stays whole.

        Raises:
            UserError: the time limit is not acceptable.
            NotFoundError: there is no such session, or no longer.
            DeadlineError: another request used the session for too long.
        """
        limit_s = checked_timeout(timeout_s, self._settings)
        self._find(name)
        task = asyncio.create_task(self._execute(name, code, limit_s))
        self._cells.add(task)
        task.add_done_callback(self._cells.discard)
        return await asyncio.shield(task)

    async def _execute(self, name: str, code: str, limit_s: float) -> CellResult:
        async with self._turn(name) as session:
            result = await session.process.execute(code, limit_s)
            self._sandbox.metrics.count(LANE, LABEL, result.status, result.duration_ms / 1000)
            if session.process.ended is not None:
                self._end(session, "killed", session.process.ended)
            return result

    async def put(self, name: str, given: Mapping[str, bytes]) -> int:
        """Write files into a session's directory: how many.

        Raises:
            UserError, ConflictError: a file is not acceptable, or something is in its way.
            NotFoundError: there is no such session.
        """
        checked = transfer.checked(given, self._settings)
        async with self._turn(name) as session:
            await asyncio.to_thread(transfer.write, session.process.scratch, checked, session.process.uid)
        return len(checked)

    async def get(self, name: str, paths: tuple[str, ...]) -> dict[str, bytes]:
        """Those of the files that exist.

        Raises:
            UserError: a path is not acceptable, or the files are too many or too large.
            NotFoundError: there is no such session.
        """
        if len(paths) > self._settings.max_files:
            raise UserError("too many paths", field="paths", allowed=f"at most {self._settings.max_files}")
        wanted = [transfer.checked_path(path, "paths") for path in paths]
        async with self._turn(name) as session:
            limit = self._settings.max_files_bytes
            return await asyncio.to_thread(transfer.read, session.process.scratch, wanted, limit)

    async def snapshot(self, name: str) -> dict[str, bytes]:
        """All regular files of a session.

        Raises:
            UserError: they are too many or too large for one answer.
            NotFoundError: there is no such session.
        """
        most = self._settings.max_files
        async with self._turn(name) as session:
            root = session.process.scratch
            paths = await asyncio.to_thread(transfer.listed, root, most + 1)
            if len(paths) > most:
                raise UserError("the session has too many files", field="files", allowed=f"at most {most}")
            return await asyncio.to_thread(transfer.read, root, paths, self._settings.max_files_bytes)

    async def restore(self, name: str, given: Mapping[str, bytes]) -> int:
        """Make a session's files these; its variables stay.

        Raises:
            UserError: a file is not acceptable.
            NotFoundError: there is no such session.
        """
        checked = transfer.checked(given, self._settings)
        async with self._turn(name) as session:
            root = session.process.scratch
            await asyncio.to_thread(scratch.empty, root)
            await asyncio.to_thread(transfer.write, root, checked, session.process.uid)
        return len(checked)

    async def close(self, name: str) -> int:
        """End a session, also in the middle of a cell: how many cells it ran.

        Raises:
            NotFoundError: there is no such session.
        """
        session = self._find(name)
        self._end(session, "closed", "it was closed")
        return session.process.cells

    @asynccontextmanager
    async def _turn(self, name: str) -> AsyncIterator[Session]:
        """Use a session alone. Its idle time begins anew afterwards."""
        session = self._find(name)
        try:
            async with asyncio.timeout(self._sandbox.admission.patience_s()):
                await session.turn.acquire()
        except TimeoutError:
            raise DeadlineError("the deadline passed while another request used the session") from None
        try:
            self._find(name)
            yield session
        finally:
            session.used = time.monotonic()
            session.turn.release()

    def _find(self, name: str) -> Session:
        session = self._open.get(name)
        if session is not None:
            if (lost := session.process.lost) is None:
                return session
            self._end(session, "killed", lost)
        why = self._gone.get(name)
        message = f"no session {name[:64]!r}" if why is None else f"session {name} has ended: {why}"
        raise NotFoundError(message, field="session_id")

    def _end(self, session: Session, reason: str, why: str) -> None:
        if self._open.pop(session.id, None) is None:
            return
        session.process.close(why)
        self._ended.labels(reason).inc()
        self._gone[session.id] = why
        while len(self._gone) > _REMEMBERED:
            self._gone.popitem(last=False)
        log.info("session ended", reason=reason, why=why, cells=session.process.cells)

    async def _expire(self) -> None:
        while True:
            await asyncio.sleep(_PERIOD_S)
            now = time.monotonic()
            for session in list(self._open.values()):
                with contextlib.suppress(NotFoundError):
                    self._find(session.id)
                if now - session.opened > self._settings.session_lifetime_s:
                    self._end(session, "expired", "its lifetime is over")
                elif not session.busy and now - session.used > session.idle_timeout_s:
                    self._end(session, "expired", f"it was not used for {session.idle_timeout_s:g} s")
