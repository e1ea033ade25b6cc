"""The sandbox itself, behind both transports: validation, admission, the right lane, metrics."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import structlog
from prometheus_client import CollectorRegistry

from mentor.errors import ConflictError, InfrastructureError, OverloadedError, UserError
from mentor.rpc.context import remaining
from mentor.tools.spec import ToolSpec
from mentor_sandbox.metrics import SandboxMetrics
from mentor_sandbox.results import Call, CallResult, Status
from mentor_sandbox.settings import SandboxSettings
from mentor_sandbox.supervise.lanes.items import Item
from mentor_sandbox.supervise.lanes.mcp import McpLane
from mentor_sandbox.supervise.lanes.registered import RegisteredLane
from mentor_sandbox.supervise.lanes.untrusted import UntrustedLane
from mentor_sandbox.supervise.network.lists import Network
from mentor_sandbox.supervise.processes.pool import Pool
from mentor_sandbox.supervise.processes.throttle import Throttle
from mentor_sandbox.supervise.processes.ticker import Ticker
from mentor_sandbox.supervise.processes.zygote import readable_paths
from mentor_sandbox.supervise.registry import Registry
from mentor_sandbox.walls import standing
from mentor_sandbox.walls.isolation import isolation, why_not

log = structlog.get_logger("sandbox")


class Sandbox:
    """Runs calls. ``tools`` are the registered ones; ``walls`` says how they stand (found out by default)."""

    def __init__(
        self,
        settings: SandboxSettings,
        tools: Sequence[ToolSpec],
        registry: CollectorRegistry,
        walls: Mapping[str, str] | None = None,
    ) -> None:
        self.settings = settings
        self.tools = Registry(tools)
        self.walls = dict(walls or standing(settings.uids, readable_paths()))
        self.ticker = Ticker()
        self.metrics = SandboxMetrics(registry)
        self.pool = Pool(settings, registry, settings.uids if self.walls["uid"].startswith("on") else None)
        registered = list(self.tools.tools.values())
        self.network = Network(settings, [tool.hosts for tool in registered])
        self.walls["network"] = self.network.state
        shared = settings, self.pool, self.network, self.ticker, self.metrics, Throttle(self.ticker)
        self.untrusted = UntrustedLane(*shared)
        self.registered = RegisteredLane(*shared, registered if settings.lane in (None, "registered") else [])
        self.pool.on_new_root = self.registered.renew
        self.remote = McpLane(settings, self.tools)
        self._lanes = (self.registered, self.untrusted, self.remote)
        self._add_gauges()

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """Start zygotes, workers and proxies; on leaving, kill what runs and remove all scratch."""
        log.info("walls", isolation=isolation(self.walls, self.settings.lane), **self.walls)
        try:
            await self.network.start()
            await self.pool.start()
            await self.registered.start()
            await self.remote.start()
            yield
        finally:
            await self.remote.stop()
            await self.untrusted.close()
            await self.registered.close()
            self.pool.stop()
            await self.network.stop()

    async def call(self, call: Call) -> CallResult:
        """Run one call.

        Raises:
            UserError: the call's form or time limit is not acceptable.
            ConflictError: this service serves another lane.
            OverloadedError, DeadlineError: the queue is full, or the caller's deadline passed in it.
            InfrastructureError: the call was lost; run it again.
        """
        future: asyncio.Future[CallResult] = asyncio.get_running_loop().create_future()

        def done(index: int, answer: CallResult | Exception) -> None:
            if future.done():
                return
            if isinstance(answer, CallResult):
                future.set_result(answer)
            else:
                future.set_exception(answer)

        items = self._submit((call,), done)
        try:
            return await future
        except asyncio.CancelledError:
            self._cancel(items)
            raise

    async def batch(self, calls: Sequence[Call]) -> list[CallResult]:
        """Run many calls at once; a lost one has status ``infrastructure``, the others stand.

        Raises:
            UserError: no calls, too many, or one of them is not acceptable.
            ConflictError: this service serves another lane.
            OverloadedError: there is no room for all of them.
        """
        results: list[Any] = [None] * len(calls)
        left = len(calls)
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def done(index: int, answer: CallResult | Exception) -> None:
            nonlocal left
            results[index] = settled(answer)
            left -= 1
            if left == 0 and not future.done():
                future.set_result(None)

        items = self._submit(self._checked(calls), done)
        try:
            await future
        except asyncio.CancelledError:
            self._cancel(items)
            raise
        return results

    async def stream(self, calls: Sequence[Call]) -> AsyncIterator[list[tuple[int, CallResult]]]:
        """As ``batch``, with results as they finish: each time all that have since the last, with their calls' index."""
        finished: list[tuple[int, CallResult]] = []
        wake = asyncio.Event()

        def done(index: int, answer: CallResult | Exception) -> None:
            finished.append((index, settled(answer)))
            wake.set()

        items = self._submit(self._checked(calls), done)
        left = len(calls)
        try:
            while left:
                await wake.wait()
                wake.clear()
                ready, finished[:] = list(finished), []
                left -= len(ready)
                yield ready
        finally:
            if left:
                self._cancel(items)

    def _checked(self, calls: Sequence[Call]) -> Sequence[Call]:
        most = min(self.settings.max_batch, self.settings.max_concurrency + self.settings.max_queue)
        if not 1 <= len(calls) <= most:
            raise UserError(f"a batch has 1 to {most} calls, got {len(calls)}", field="calls", allowed=f"1 to {most}")
        return calls

    def _submit(self, calls: Sequence[Call], done: Callable[[int, CallResult | Exception], None]) -> list[Item]:
        """Answer what needs no process at once, admit the rest and hand it to its lanes."""
        now = time.monotonic()
        expires = now + remaining(self.settings.queue_timeout_s)

        def finish(item: Item, answer: CallResult | Exception) -> None:
            self._count(item, answer)
            done(item.index, answer)

        items: list[Item] = []
        refused: list[tuple[Item, CallResult]] = []
        for index, call in enumerate(calls):
            self.require(call.lane)
            tool = self.tools.get(call.tool) if call.tool is not None else None
            timeout_s = self._timeout(call, tool.spec.timeout_s if tool else self.settings.default_timeout_s)
            item = Item(call, tool, timeout_s, now, expires, index, finish)
            wrong = None if call.tool is None else self._refusal(call)
            if wrong is None:
                items.append(item)
            else:
                refused.append((item, wrong))
        remote = [item for item in items if _backend(item) == "mcp"]
        warm = [item for item in items if _backend(item) == "worker"]
        cold = [item for item in items if _backend(item) == "call"]
        self.remote.admit(remote)
        self.admit(len(warm), len(cold))
        for item, result in refused:
            item.done(item, result)
        if warm:
            self.registered.submit(warm)
        if cold:
            self.untrusted.submit(cold)
        if remote:
            self.remote.submit(remote)
        return items

    def admit(self, warm: int, cold: int) -> None:
        """Make sure that so many calls for workers and for forks fit into the queue.

        Raises:
            OverloadedError: they do not, with the time after which to try again.
        """
        if not warm and not cold:
            return
        queued = max(0, warm - self.registered.free) + max(0, cold - self.untrusted.free)
        waiting = self.waiting
        if queued and queued + waiting > self.settings.max_queue:
            self.metrics.refused.inc(warm + cold)
            wait = max(self.registered.wait_s(warm) if warm else 0.0, self.untrusted.wait_s(cold) if cold else 0.0)
            message = f"the queue is full ({waiting} calls wait, {self.settings.max_queue} may)"
            raise OverloadedError(message, retry_after=min(30.0, max(0.1, round(wait, 2))))

    @property
    def waiting(self) -> int:
        """Calls that have not begun."""
        return sum(lane.waiting for lane in self._lanes)

    def require(self, lane: str) -> None:
        """Raises ConflictError if this service serves another lane."""
        if self.settings.lane is not None and self.settings.lane != lane:
            raise ConflictError(f"this sandbox serves the lane {self.settings.lane!r}, not {lane!r}")

    def _cancel(self, items: Sequence[Item]) -> None:
        for item in items:
            item.cancelled = True
            self.untrusted.cancel(item)
            self.remote.cancel(item)

    def _refusal(self, call: Call) -> CallResult | None:
        """The result of a registered call that is not worth a process."""
        assert call.tool is not None
        tool = self.tools.get(call.tool)
        if tool is None:
            known = ", ".join(sorted(self.tools.tools))
            message = f"unknown tool {call.tool!r}; registered: {known}"
            return CallResult(Status.INVALID_CALL, error_type="unknown_tool", error_message=message)
        wrong = tool.argument_error(call.arguments)
        if wrong is not None:
            return CallResult(Status.INVALID_CALL, error_type="invalid_arguments", error_message=wrong)
        return None

    def _count(self, item: Item, answer: CallResult | Exception) -> None:
        if item.cancelled:
            return
        call = item.call
        label = call.label if call.tool is None else item.tool.spec.name if item.tool else "unknown"
        lane = "mcp" if _backend(item) == "mcp" else call.lane
        if isinstance(answer, CallResult):
            self.metrics.count(lane, label, answer.status, time.monotonic() - item.admitted)
        elif isinstance(answer, InfrastructureError):
            self.metrics.count(lane, label, Status.INFRASTRUCTURE, None)

    def _timeout(self, call: Call, default: float) -> float:
        timeout_s = call.timeout_s or default
        most = self.settings.max_timeout_s
        if not 0 < timeout_s <= most:
            message = f"a time limit lies between 0 and {most:g} s, got {timeout_s:g}"
            raise UserError(message, field="timeout", allowed=f"0 to {most:g}")
        return timeout_s

    def _add_gauges(self) -> None:
        metrics = self.metrics
        metrics.gauge("mentor_sandbox_queue_depth", "Calls waiting for a slot.", lambda: self.waiting)
        running = "mentor_sandbox_calls_in_flight"
        metrics.gauge(running, "Calls running.", lambda: sum(lane.running for lane in self._lanes))
        metrics.states("mentor_sandbox_workers", "Warm workers.", ("kind", "state"), self._worker_states)
        metrics.states("mentor_sandbox_zygotes", "Zygotes.", ("kind", "state"), self._zygote_states)

    def _worker_states(self) -> dict[tuple[str, ...], int]:
        found: dict[tuple[str, ...], int] = {}
        for (kind, _), group in self.registered.groups.items():
            for worker in group.workers:
                state = "busy" if worker.assigned and worker.state == "ready" else worker.state
                key = (kind, "long" if worker.long else state)
                found[key] = found.get(key, 0) + 1
        return found

    def _zygote_states(self) -> dict[tuple[str, ...], int]:
        found: dict[tuple[str, ...], int] = {}
        for kind, members in self.pool.members().items():
            for member in members:
                key = (kind, "up" if member.alive else "down")
                found[key] = found.get(key, 0) + 1
        return found

    def ready(self) -> str | None:
        """Why calls cannot be taken now."""
        if (reason := why_not(self.walls, self.settings.lane)) is not None:
            return reason
        if down := self.pool.down():
            return f"no zygote of kind {', '.join(down)} is up"
        if (reason := self.pool.scratch_trouble) is not None:
            return reason
        if down := self.registered.down():
            return f"no worker of kind {', '.join(down)} is up"
        return None

    def health(self) -> dict[str, Any]:
        """Walls, what isolates calls, processes and queue, for ``GET /health``."""
        zygotes = {
            kind: [{"pid": member.pid, "alive": member.alive, "calls": member.load} for member in members]
            for kind, members in self.pool.members().items()
        }
        workers = [{"kind": kind, "state": state, "count": n} for (kind, state), n in self._worker_states().items()]
        return {
            "isolation": isolation(self.walls, self.settings.lane),
            "walls": self.walls,
            "zygotes": zygotes,
            "workers": workers,
            "queue": self.waiting,
            "mcp_servers": self.remote.states(),
        }


def _backend(item: Item) -> str:
    """Where it runs: ``worker``, ``call`` (a fork) or ``mcp``."""
    if item.tool is None:
        return "call"
    return "mcp" if item.tool.spec.backend == "mcp" else item.tool.spec.isolation


def settled(answer: CallResult | Exception) -> CallResult:
    """An answer inside a batch: what was lost is a result there, and bugs are not."""
    if isinstance(answer, CallResult):
        return answer
    if isinstance(answer, InfrastructureError):
        return CallResult(Status.INFRASTRUCTURE, error_type=answer.code, error_message=answer.message)
    raise answer
