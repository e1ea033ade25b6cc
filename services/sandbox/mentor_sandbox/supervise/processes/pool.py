"""Server. What all lanes share: zygotes by kind (started warm or on first need, replaced when they die), scratch, user ids."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

import structlog
from prometheus_client import CollectorRegistry, Counter

from mentor.errors import InfrastructureError, MentorError
from mentor_sandbox.settings import SandboxSettings
from mentor_sandbox.supervise.files.root import MODES, NEW_ROOT, ScratchRoot
from mentor_sandbox.supervise.processes.kinds import KINDS
from mentor_sandbox.supervise.processes.restarts import wait_s
from mentor_sandbox.supervise.processes.zygote import ZygoteProcess

log = structlog.get_logger("pool")
_SCRATCH_PERIOD_S = 1.0


class Pool:
    """``zygotes`` processes of each kind in use, the root of scratch directories, and the user ids to give away.

    Args:
        uids: first id and number of ids; None where calls get no ids of their own.
    """

    def __init__(
        self, settings: SandboxSettings, registry: CollectorRegistry, uids: tuple[int, int] | None = None
    ) -> None:
        self._settings = settings
        self._members: dict[str, list[ZygoteProcess]] = {}
        self._starting: dict[str, asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._has_uids = uids is not None
        self._uids = deque(range(uids[0], uids[0] + uids[1])) if uids else deque()
        self._probe_uid = uids[0] if uids else -1
        self._scratch: ScratchRoot | None = None
        self.scratch_trouble: str | None = None
        """Why calls get no directory to work in, as of a second ago."""
        self.on_new_root: Callable[[], None] = lambda: None
        """Called when directories are made in another place than before."""
        self._restarts = Counter(
            "mentor_sandbox_zygote_restarts_total", "Zygotes that died and were replaced.", ("kind",), registry=registry
        )
        for kind in KINDS:
            self._restarts.labels(kind)
        self._repairs = Counter(
            "mentor_sandbox_scratch_repairs_total",
            "Times that scratch directories could not be made and their root was mended.",
            ("how",),
            registry=registry,
        )
        for how in (MODES, NEW_ROOT):
            self._repairs.labels(how)

    @property
    def scratch(self) -> ScratchRoot:
        """Where scratch directories are made.

        Raises:
            InfrastructureError: the sandbox is starting or has ended.
        """
        if self._scratch is None:
            raise InfrastructureError("the sandbox is starting")
        return self._scratch

    @contextmanager
    def uid(self) -> Iterator[int]:
        """A user id that no other running child has, -1 where there are none to give.

        Raises:
            InfrastructureError: all are taken.
        """
        if not self._has_uids:
            yield -1
            return
        if not self._uids:
            raise InfrastructureError("no user id is free")
        uid = self._uids.popleft()
        try:
            yield uid
        finally:
            self._uids.append(uid)

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run something to its end in the background."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def start(self) -> None:
        """Make the scratch root and start the warm kinds."""
        self._scratch = ScratchRoot(self._settings.scratch_root, self._probe_uid, self._mended)
        self.spawn(self._watch(self._scratch))
        for kind in self._settings.warm:
            await self._ensure(kind)

    async def get(self, kind: str) -> ZygoteProcess:
        """The least loaded zygote of a kind; starts the kind on first need.

        Raises:
            InfrastructureError: none of them is up.
        """
        if kind not in self._members:
            await self._ensure(kind)
        alive = [member for member in self._members[kind] if member.alive]
        if not alive:
            raise InfrastructureError(f"the {kind} zygote is being replaced")
        return min(alive, key=lambda member: member.load)

    def down(self) -> list[str]:
        """Kinds in use of which no zygote is up."""
        return [kind for kind, members in self._members.items() if not any(member.alive for member in members)]

    def members(self) -> dict[str, list[ZygoteProcess]]:
        """Every zygote by kind."""
        return self._members

    def stop(self) -> None:
        """End everything."""
        for task in list(self._tasks):
            task.cancel()
        for members in self._members.values():
            for member in members:
                member.stop()
        if self._scratch is not None:
            self._scratch.remove()
            self._scratch = None

    async def _watch(self, root: ScratchRoot) -> None:
        """Try every second what every call needs, so that it is mended before a call needs it."""
        while True:
            try:
                trouble = root.trouble()
            except Exception as error:
                # A boundary: a watch that dies would leave a service that claims to be well.
                log.exception("the scratch root cannot be tried")
                trouble = f"the scratch root cannot be tried: {type(error).__name__}"
            if trouble is not None and trouble != self.scratch_trouble:
                log.error("no scratch directories", reason=trouble)
            self.scratch_trouble = trouble
            await asyncio.sleep(_SCRATCH_PERIOD_S)

    def _mended(self, how: str) -> None:
        self._repairs.labels(how).inc()
        self.scratch_trouble = None
        if how == NEW_ROOT:
            self.on_new_root()

    async def _ensure(self, kind: str) -> None:
        if kind not in self._starting:
            self._starting[kind] = asyncio.create_task(self._start_kind(kind))
        try:
            await asyncio.shield(self._starting[kind])
        except MentorError:
            self._starting.pop(kind, None)
            raise

    async def _start_kind(self, kind: str) -> None:
        members = [ZygoteProcess(kind, self._settings, uids=self._has_uids) for _ in range(self._settings.zygotes)]
        await asyncio.gather(*(member.start() for member in members))
        self._members[kind] = members
        for place in range(len(members)):
            self.spawn(self._guard(members, place))

    async def _guard(self, members: list[ZygoteProcess], place: int) -> None:
        """Replace the zygote at one place for as long as the pool lives."""
        failures = 0
        while True:
            await members[place].died.wait()
            kind = members[place].kind
            log.warning("zygote died", kind=kind, zygote_pid=members[place].pid)
            await asyncio.sleep(wait_s(failures))
            self._restarts.labels(kind).inc()
            fresh = ZygoteProcess(kind, self._settings, uids=self._has_uids)
            try:
                await fresh.start()
            except MentorError as error:
                failures += 1
                log.error("zygote did not start", kind=kind, reason=str(error))
                continue
            failures = 0
            members[place] = fresh
