"""Zygotes by kind: started warm or on first need, chosen by what a call's source imports, replaced when they die."""

from __future__ import annotations

import asyncio
import re

import structlog
from prometheus_client import CollectorRegistry, Counter

from mentor.errors import InfrastructureError, MentorError
from mentor_sandbox.processes import KINDS, ZygoteProcess
from mentor_sandbox.settings import SandboxSettings

log = structlog.get_logger("pool")
_SCIENTIFIC = re.compile(r"^\s*(?:import|from)\s+(?:numpy|sympy|scipy|pandas|mpmath)\b", re.MULTILINE)
_WEB = re.compile(r"^\s*(?:import|from)\s+(?:requests|urllib3)\b", re.MULTILINE)
_RESTART_WAIT_S = (0.0, 0.1, 0.5, 1.0, 5.0)


def kind_for(source: str) -> str:
    """The zygote that has what the source imports. A guess by its text: a wrong one costs time, nothing else."""
    if _SCIENTIFIC.search(source):
        return "scientific"
    return "web" if _WEB.search(source) else "core"


class Pool:
    """``zygotes`` processes of each kind in use."""

    def __init__(self, settings: SandboxSettings, registry: CollectorRegistry) -> None:
        self._settings = settings
        self._members: dict[str, list[ZygoteProcess]] = {}
        self._starting: dict[str, asyncio.Task[None]] = {}
        self._guards: set[asyncio.Task[None]] = set()
        self._restarts = Counter(
            "mentor_sandbox_zygote_restarts_total", "Zygotes that died and were replaced.", ("kind",), registry=registry
        )
        for kind in KINDS:
            self._restarts.labels(kind)

    async def start(self) -> None:
        """Start the warm kinds."""
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
        for guard in self._guards:
            guard.cancel()
        for members in self._members.values():
            for member in members:
                member.stop()

    async def _ensure(self, kind: str) -> None:
        if kind not in self._starting:
            self._starting[kind] = asyncio.create_task(self._start_kind(kind))
        try:
            await asyncio.shield(self._starting[kind])
        except MentorError:
            self._starting.pop(kind, None)
            raise

    async def _start_kind(self, kind: str) -> None:
        members = [ZygoteProcess(kind, self._settings) for _ in range(self._settings.zygotes)]
        await asyncio.gather(*(member.start() for member in members))
        self._members[kind] = members
        for place in range(len(members)):
            guard = asyncio.create_task(self._guard(members, place))
            self._guards.add(guard)

    async def _guard(self, members: list[ZygoteProcess], place: int) -> None:
        """Replace the zygote at one place for as long as the pool lives."""
        failures = 0
        while True:
            await members[place].died.wait()
            kind = members[place].kind
            log.warning("zygote died", kind=kind, zygote_pid=members[place].pid)
            await asyncio.sleep(_RESTART_WAIT_S[min(failures, len(_RESTART_WAIT_S) - 1)])
            self._restarts.labels(kind).inc()
            fresh = ZygoteProcess(kind, self._settings)
            try:
                await fresh.start()
            except MentorError as error:
                failures += 1
                log.error("zygote did not start", kind=kind, reason=str(error))
                continue
            failures = 0
            members[place] = fresh
