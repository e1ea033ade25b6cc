"""Server. The lane of code that came with the request: a fork of a warm process for every call, never reused."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mentor.errors import InfrastructureError, MentorError
from mentor_sandbox.metrics import SandboxMetrics
from mentor_sandbox.results import CallResult, Status
from mentor_sandbox.settings import SandboxSettings
from mentor_sandbox.supervise.lanes.items import Item, due, expire, timed
from mentor_sandbox.supervise.limits import Limits
from mentor_sandbox.supervise.network.lists import Network
from mentor_sandbox.supervise.processes.execution import NO_LUGGAGE, Execution, Luggage, Outcome
from mentor_sandbox.supervise.processes.kinds import kind_for
from mentor_sandbox.supervise.processes.pool import Pool
from mentor_sandbox.supervise.processes.throttle import Throttle
from mentor_sandbox.supervise.processes.ticker import Ticker
from mentor_sandbox.supervise.verdicts import verdict


@dataclass(frozen=True)
class Errand:
    """What a fork is to do: the role's request, the source and the hosts it may reach, its limits, what it carries.

    ``descriptors``: what it gets besides its socket and its outputs, at most one.
    """

    request: dict[str, Any]
    source: str
    hosts: tuple[str, ...]
    limits: Limits
    luggage: Luggage = NO_LUGGAGE
    descriptors: tuple[int, ...] = ()


class Slot:
    """The place of something that runs."""

    def __init__(self) -> None:
        self.task: asyncio.Task[None]
        self.execution: Execution | None = None
        self.long = False
        self.checked = 0.0


class UntrustedLane:
    """Runs at most ``max_concurrency`` short calls at once, and ``slow_slots`` that turned out to be long ones."""

    def __init__(
        self,
        settings: SandboxSettings,
        pool: Pool,
        network: Network,
        ticker: Ticker,
        metrics: SandboxMetrics,
        throttle: Throttle,
    ) -> None:
        self._settings = settings
        self._pool = pool
        self._network = network
        self._ticker = ticker
        self._metrics = metrics
        self._throttle = throttle
        self._pending: deque[Item] = deque()
        self._running: dict[Item, Slot] = {}
        self._long = 0
        self._mean_s = 0.02

    @property
    def waiting(self) -> int:
        """Calls that have not begun."""
        return len(self._pending)

    @property
    def running(self) -> int:
        """Calls that have."""
        return len(self._running)

    @property
    def free(self) -> int:
        """Calls that would begin at once."""
        return max(0, self._settings.max_concurrency - (len(self._running) - self._long) - len(self._pending))

    def wait_s(self, calls: int) -> float:
        """About how long until so many more calls have begun."""
        return self._mean_s * (len(self._pending) + calls) / self._settings.max_concurrency

    def submit(self, items: Sequence[Item]) -> None:
        """Take calls; each is answered through its ``done``."""
        self._throttle.short_seen(time.monotonic())
        self._pending.extend(items)
        self._dispatch()
        if self._pending:
            self._ticker.add(self)

    def cancel(self, item: Item) -> None:
        """Nobody wants the result: stop it."""
        item.cancelled = True
        slot = self._running.get(item)
        if slot is not None:
            slot.task.cancel()

    async def close(self) -> None:
        """Stop everything."""
        tasks = [slot.task for slot in self._running.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def tick(self, now: float) -> None:
        """Answer what waited too long; make room beside what runs long."""
        expire(self._pending, now)
        for slot in list(self._running.values()):
            if slot.execution is not None and slot.execution.begun is not None:
                self._watch(slot, slot.execution, now)
        self._dispatch()
        if not self._pending and not self._running:
            self._ticker.discard(self)

    def _watch(self, slot: Slot, execution: Execution, now: float) -> None:
        assert execution.begun is not None
        if not due(now - execution.begun, now - slot.checked):
            return
        slot.checked = now
        execution.lower(lambda: self._throttle.add(execution))
        if not slot.long and self._long < self._settings.slow_slots:
            slot.long = True
            self._long += 1

    def _dispatch(self) -> None:
        while self._pending and len(self._running) - self._long < self._settings.max_concurrency:
            item = self._pending.popleft()
            if not item.cancelled:
                slot = Slot()
                self._running[item] = slot
                slot.task = asyncio.get_running_loop().create_task(self._run(item, slot))
                self._ticker.add(self)

    async def _run(self, item: Item, slot: Slot) -> None:
        answer: CallResult | Exception
        started = time.monotonic()
        try:
            answer = await (self._call(item, slot) if item.work is None else item.work(slot))
        except MentorError as error:
            answer = error
        except asyncio.CancelledError:
            answer = InfrastructureError("the call was cancelled")
        finally:
            del self._running[item]
            if slot.execution is not None:
                self._throttle.discard(slot.execution)
            self._long -= slot.long
        now = time.monotonic()
        self._mean_s += 0.05 * (now - started - self._mean_s)
        item.done(item, timed(answer, now - item.admitted) if isinstance(answer, CallResult) else answer)
        self._dispatch()

    async def fork(self, errand: Errand, slot: Slot) -> Outcome:
        """Run an errand in a fork of the zygote that suits it, in a slot that is held for it."""
        zygote = await self._pool.get(kind_for(errand.source, errand.hosts))
        limits = self._network.open(errand.limits, errand.hosts)
        with self._pool.uid() as uid:
            pool, luggage = self._pool, errand.luggage
            execution = Execution(zygote, self._settings, pool.scratch, self._ticker, uid, luggage)
            execution.descriptors = errand.descriptors
            slot.execution = execution
            try:
                return await execution.run(errand.request, limits)
            finally:
                if execution.killed_for is not None:
                    self._metrics.killed(execution.killed_for)

    async def _call(self, item: Item, slot: Slot) -> CallResult:
        errand = self._errand(item)
        outcome = await self.fork(errand, slot)
        result = verdict(outcome, errand.request["nonce"], self._settings)
        if result.status is Status.KILLED:
            self._metrics.killed("died")
        return result

    def _errand(self, item: Item) -> Errand:
        """What the child is told, and the hosts it may reach."""
        call, tool = item.call, item.tool
        assert call is not None
        if tool is not None:
            source, hosts = tool.spec.source or "", tool.hosts
        else:
            source, hosts = self._network.placed(call.source or "")
        request = {
            "role": "call",
            "nonce": secrets.randbits(64),
            "code": tool.code if tool else None,
            "source": source,
            "function": tool.spec.name if tool else call.function,
            "arguments": call.arguments,
            "expression": call.expression,
        }
        return Errand(request, source, hosts, Limits.of(self._settings, item.timeout_s))
