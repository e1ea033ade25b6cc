"""Server. Warm workers that have the same tools loaded: starts them, gives them calls, replaces them."""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import Sequence
from typing import Any

import structlog

from mentor.errors import MentorError
from mentor_sandbox.metrics import SandboxMetrics
from mentor_sandbox.settings import SandboxSettings
from mentor_sandbox.supervise.lanes.items import SLICE_S, Item, expire
from mentor_sandbox.supervise.lanes.worker import WorkerProcess
from mentor_sandbox.supervise.limits import Limits
from mentor_sandbox.supervise.network.lists import Network
from mentor_sandbox.supervise.processes.pool import Pool
from mentor_sandbox.supervise.processes.restarts import wait_s
from mentor_sandbox.supervise.processes.throttle import Throttle
from mentor_sandbox.supervise.processes.ticker import Ticker
from mentor_sandbox.supervise.registry import RegisteredTool

log = structlog.get_logger("workers")
_CHUNK = 32
_LOW = 4
"""A worker with so few calls left gets the next ones, so that it does not wait for the server."""
_QUICK_S = 0.001
"""Tools that take longer on average are not given to a worker that is busy, nor several at once."""
_CHURN_S, _REMEMBERED_STARTS = 1.0, 5


class Group:
    """Workers that have the same tools loaded."""

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
        self._settings = settings
        self._pool = pool
        self._network = network
        self._ticker = ticker
        self._metrics = metrics
        self._throttle = throttle
        self.kind, self._hosts = tools[0].kind, tools[0].hosts
        self._numbers = {tool.id: number for number, tool in enumerate(tools)}
        self._means = [0.0] * len(tools)
        self._request = _request(tools)
        self._pending: deque[Item] = deque()
        self.workers: set[WorkerProcess] = set()
        self._filling: asyncio.Task[None] | None = None
        self._closing = False
        self._first = asyncio.Event()
        self._started_at: deque[float] = deque(maxlen=_REMEMBERED_STARTS)
        self.mean_s = 0.001

    @property
    def waiting(self) -> int:
        """Calls that have not begun."""
        return len(self._pending) + sum(max(0, len(worker.assigned) - 1) for worker in self.workers)

    @property
    def running(self) -> int:
        """Calls that have."""
        return sum(bool(worker.assigned) for worker in self.workers)

    @property
    def up(self) -> bool:
        """Whether a worker is ready or only busy."""
        return any(worker.state in ("ready", "retiring") for worker in self.workers)

    async def start(self) -> None:
        """Start the workers and wait for the first."""
        self._fill()
        async with asyncio.timeout(self._settings.startup_timeout_s + 60):
            await self._first.wait()

    def submit(self, items: Sequence[Item]) -> None:
        """Take calls."""
        self._throttle.short_seen(time.monotonic())
        self._pending.extend(items)
        self._dispatch()
        self._ticker.add(self)

    def close(self) -> None:
        """End the workers."""
        self._closing = True
        if self._filling is not None:
            self._filling.cancel()
        for worker in list(self.workers):
            worker.kill("shutdown")

    def tick(self, now: float) -> None:
        """Answer what waited too long; look after running calls; replace workers that run long ones."""
        expire(self._pending, now)
        for worker in list(self.workers):
            worker.tick(now)
            if worker.assigned and not worker.long and now - worker.since > SLICE_S:
                self._make_long(worker)
        if not self._pending and not any(worker.assigned for worker in self.workers):
            self._ticker.discard(self)

    def _make_long(self, worker: WorkerProcess) -> None:
        """Its calls go to others. It finishes the one it runs beside them, if there is room for one more."""
        if len(worker.assigned) > 1:
            worker.retire("long")
        if sum(other.long for other in self.workers) < self._settings.slow_slots:
            worker.long = True
            self._fill()

    def _dispatch(self) -> None:
        while self._pending:
            open_ = [worker for worker in self.workers if worker.state == "ready" and len(worker.assigned) <= _LOW]
            if not open_:
                return
            worker = min(open_, key=lambda candidate: len(candidate.assigned))
            items = self._chunk(len(open_), busy=bool(worker.assigned))
            if not items:
                return
            worker.send(items, [self._numbers[item.tool.id] for item in items if item.tool is not None])

    def _chunk(self, workers: int, busy: bool) -> list[Item]:
        """The next calls for one worker: several if they are quick, one if not; none if it has to be idle for it."""
        most = min(_CHUNK, math.ceil(len(self._pending) / workers))
        items: list[Item] = []
        while self._pending and len(items) < most:
            item = self._pending[0]
            assert item.tool is not None
            quick = self._means[self._numbers[item.tool.id]] < _QUICK_S
            if item.cancelled:
                self._pending.popleft()
            elif quick or not (items or busy):
                items.append(self._pending.popleft())
                if not quick:
                    break
            else:
                break
        return items

    def _fill(self) -> None:
        """Start as many workers as are missing."""
        if not self._closing and (self._filling is None or self._filling.done()):
            self._filling = asyncio.get_running_loop().create_task(self._start_missing())

    async def _start_missing(self) -> None:
        failures = 0
        while sum(not w.long and w.state != "retiring" for w in self.workers) < self._settings.workers:
            await asyncio.sleep(self._patience(failures))
            worker = WorkerProcess(self, self._settings, self._pool)
            try:
                limits = self._network.open(Limits.of(self._settings, None), self._hosts)
                zygote = await self._pool.get(self.kind)
                await worker.start(zygote, self._request, limits)
            except MentorError as error:
                failures += 1
                log.warning("worker did not start", kind=self.kind, reason=str(error))
                continue
            failures = 0
            self._started_at.append(time.monotonic())
            self.workers.add(worker)

    def _patience(self, failures: int) -> float:
        """Seconds to wait before the next start: more after failures, some if workers come and go in no time."""
        if failures:
            return wait_s(failures)
        full = len(self._started_at) == self._started_at.maxlen
        return 0.05 if full and time.monotonic() - self._started_at[0] < _CHURN_S / 10 else 0.0

    def ready(self, worker: WorkerProcess) -> None:
        """See ``Owner``."""
        self._first.set()
        if sum(other.state == "ready" and not other.long for other in self.workers) > self._settings.workers:
            worker.retire("surplus")
        self._dispatch()

    def answered(self, worker: WorkerProcess, item: Item, seconds: float) -> None:
        """See ``Owner``."""
        assert item.tool is not None
        number = self._numbers[item.tool.id]
        self._means[number] += 0.1 * (seconds - self._means[number])
        self.mean_s += 0.05 * (seconds - self.mean_s)

    def computes(self, worker: WorkerProcess) -> None:
        """See ``Owner``."""
        worker.retire("long")
        self._throttle.add(worker)

    def returned(self, items: Sequence[Item]) -> None:
        """See ``Owner``."""
        self._pending.extendleft(reversed(items))
        self._dispatch()

    def gone(self, worker: WorkerProcess, reason: str) -> None:
        """See ``Owner``."""
        self.workers.discard(worker)
        self._throttle.discard(worker)
        if self._closing:
            return
        self._metrics.recycled(self.kind, reason)
        if reason not in ("calls", "surplus", "long"):
            log.info("worker ended", kind=self.kind, reason=reason)
        self._fill()


def _request(tools: Sequence[RegisteredTool]) -> dict[str, Any]:
    """What a worker has to load: every source once, and which function of which source each tool is."""
    sources = list(dict.fromkeys(tool.spec.source or "" for tool in tools))
    codes = {tool.spec.source or "": tool.code for tool in tools}
    return {
        "sources": [codes[source] for source in sources],
        "tools": [(sources.index(tool.spec.source or ""), tool.spec.name) for tool in tools],
    }
