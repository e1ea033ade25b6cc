"""Server. The sandbox itself, behind both transports: validation, admission, the right lane, metrics."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import structlog
from prometheus_client import CollectorRegistry

from mentor.errors import InfrastructureError, UserError
from mentor.tools.spec import ToolSpec
from mentor_sandbox.metrics import SandboxMetrics
from mentor_sandbox.results import Call, CallResult, Status
from mentor_sandbox.settings import SandboxSettings
from mentor_sandbox.supervise.admission import Admission
from mentor_sandbox.supervise.health import Health
from mentor_sandbox.supervise.lanes.items import Item, Work
from mentor_sandbox.supervise.lanes.mcp import McpLane
from mentor_sandbox.supervise.lanes.registered import RegisteredLane
from mentor_sandbox.supervise.lanes.untrusted import UntrustedLane
from mentor_sandbox.supervise.limits import checked_timeout
from mentor_sandbox.supervise.network.lists import Network
from mentor_sandbox.supervise.processes.kinds import readable_paths
from mentor_sandbox.supervise.processes.pool import Pool
from mentor_sandbox.supervise.processes.throttle import Throttle
from mentor_sandbox.supervise.processes.ticker import Ticker
from mentor_sandbox.supervise.registry import Registry
from mentor_sandbox.walls.isolation import isolation
from mentor_sandbox.walls.standing import standing

log = structlog.get_logger("sandbox")
Done = Callable[[int, CallResult | Exception], None]
"""Is told a call's index and its answer."""
Finish = Callable[[Item, CallResult | Exception], None]


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
        self.admission = Admission(settings, self.metrics, self.registered, self.untrusted, self.remote)
        self._health = Health(settings, self.walls, self.pool, self.registered, self.remote, self.admission)
        self._health.add_gauges(self.metrics)

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
        return await self._awaited(lambda done: self._submit((call,), done))

    async def program(self, work: Work, timeout_s: float, label: str) -> CallResult:
        """Run a program in the lane of untrusted code: same slots, same queue, same walls.

        Raises:
            OverloadedError, DeadlineError: the queue is full, or the caller's deadline passed in it.
            InfrastructureError: the program was lost; run it again.
        """
        self.admission.admit(0, 1)

        def submit(done: Done) -> list[Item]:
            now = time.monotonic()
            expires = now + self.admission.patience_s()
            item = Item("untrusted", label, timeout_s, now, expires, 0, self._counted(done), work=work)
            self.untrusted.submit([item])
            return [item]

        return await self._awaited(submit)

    async def _awaited(self, submit: Callable[[Done], list[Item]]) -> CallResult:
        """The answer of one item. A caller that goes away cancels it."""
        future: asyncio.Future[CallResult] = asyncio.get_running_loop().create_future()

        def done(index: int, answer: CallResult | Exception) -> None:
            if future.done():
                return
            if isinstance(answer, CallResult):
                future.set_result(answer)
            else:
                future.set_exception(answer)

        items = submit(done)
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

    def _submit(self, calls: Sequence[Call], done: Done) -> list[Item]:
        """Answer what needs no process at once, admit the rest and hand it to its lanes."""
        now = time.monotonic()
        expires, finish = now + self.admission.patience_s(), self._counted(done)
        items: list[Item] = []
        refused: list[tuple[Item, CallResult]] = []
        for index, call in enumerate(calls):
            item = self._item(call, index, now, expires, finish)
            wrong = None if call.tool is None else self._refusal(call)
            if wrong is None:
                items.append(item)
            else:
                refused.append((item, wrong))
        by_backend = {name: [item for item in items if item.backend == name] for name in ("mcp", "worker", "call")}
        remote, warm, cold = by_backend.values()
        self.remote.admit(remote)
        self.admission.admit(len(warm), len(cold))
        for item, result in refused:
            item.done(item, result)
        if warm:
            self.registered.submit(warm)
        if cold:
            self.untrusted.submit(cold)
        if remote:
            self.remote.submit(remote)
        return items

    def _item(self, call: Call, index: int, now: float, expires: float, finish: Finish) -> Item:
        self.admission.require(call.lane)
        tool = self.tools.get(call.tool) if call.tool is not None else None
        default = tool.spec.timeout_s if tool else None
        timeout_s = checked_timeout(call.timeout_s or None, self.settings, default)
        label = call.label if call.tool is None else tool.spec.name if tool else "unknown"
        item = Item(call.lane, label, timeout_s, now, expires, index, finish, call, tool)
        if item.backend == "mcp":
            item.lane = "mcp"
        return item

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

    def _counted(self, done: Done) -> Finish:
        """``done`` for an item: its end is counted first, unless its caller has gone away."""

        def finish(item: Item, answer: CallResult | Exception) -> None:
            if not item.cancelled and isinstance(answer, CallResult):
                self.metrics.count(item.lane, item.label, answer.status, time.monotonic() - item.admitted)
            elif not item.cancelled and isinstance(answer, InfrastructureError):
                self.metrics.count(item.lane, item.label, Status.INFRASTRUCTURE, None)
            done(item.index, answer)

        return finish

    def ready(self) -> str | None:
        """Why calls cannot be taken now."""
        return self._health.ready()

    def health(self) -> dict[str, Any]:
        """Walls, what isolates calls, processes and queue, for ``GET /health``."""
        return self._health.health()


def settled(answer: CallResult | Exception) -> CallResult:
    """An answer inside a batch: what was lost is a result there, and bugs are not."""
    if isinstance(answer, CallResult):
        return answer
    if isinstance(answer, InfrastructureError):
        return CallResult(Status.INFRASTRUCTURE, error_type=answer.code, error_message=answer.message)
    raise answer
