"""Server. The lane of registered tools: warm workers, one call at a time each, several calls of a batch in one write."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from mentor_sandbox.metrics import SandboxMetrics
from mentor_sandbox.settings import SandboxSettings
from mentor_sandbox.supervise.lanes.group import Group
from mentor_sandbox.supervise.lanes.items import Item
from mentor_sandbox.supervise.network.lists import Network
from mentor_sandbox.supervise.processes.pool import Pool
from mentor_sandbox.supervise.processes.throttle import Throttle
from mentor_sandbox.supervise.processes.ticker import Ticker
from mentor_sandbox.supervise.registry import RegisteredTool


class RegisteredLane:
    """The workers of all registered tools, in groups: tools that import alike and reach the same hosts share them."""

    def __init__(
        self,
        settings: SandboxSettings,
        pool: Pool,
        network: Network,
        ticker: Ticker,
        metrics: SandboxMetrics,
        throttle: Throttle,
        tools: Sequence[RegisteredTool],
    ) -> None:
        keys = {(tool.kind, tool.hosts) for tool in tools if tool.spec.isolation == "worker"}
        self.groups = {
            key: Group(
                settings, pool, network, ticker, metrics, throttle, [t for t in tools if (t.kind, t.hosts) == key]
            )
            for key in sorted(keys)
        }
        self._workers = settings.workers

    @property
    def waiting(self) -> int:
        """Calls that have not begun."""
        return sum(group.waiting for group in self.groups.values())

    @property
    def running(self) -> int:
        """Calls that have."""
        return sum(group.running for group in self.groups.values())

    @property
    def free(self) -> int:
        """Calls that would begin at once."""
        return max(0, self._workers - self.running - self.waiting)

    def wait_s(self, calls: int) -> float:
        """About how long until so many more calls have begun."""
        return max((group.mean_s for group in self.groups.values()), default=0.0) * (self.waiting + calls)

    async def start(self) -> None:
        """Start all workers."""
        await asyncio.gather(*(group.start() for group in self.groups.values()))

    def submit(self, items: Sequence[Item]) -> None:
        """Take calls of registered tools; each is answered through its ``done``."""
        for key, group in self.groups.items():
            mine = [item for item in items if item.tool is not None and (item.tool.kind, item.tool.hosts) == key]
            if mine:
                group.submit(mine)

    def down(self) -> list[str]:
        """Groups that cannot run calls now."""
        return [kind for (kind, _), group in self.groups.items() if not group.up]

    def renew(self) -> None:
        """Replace all workers, each when what it runs has ended: the directories that they work in may be gone."""
        for group in self.groups.values():
            for worker in list(group.workers):
                worker.retire("root")

    async def close(self) -> None:
        """End all workers."""
        for group in self.groups.values():
            group.close()
