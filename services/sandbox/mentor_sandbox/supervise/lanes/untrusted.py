"""The lane of code that came with the request: a fork of a warm process for every call, never reused."""

from __future__ import annotations

import asyncio
import json
import secrets
import signal
import time
from collections import deque
from collections.abc import Sequence
from typing import Any

from mentor.errors import InfrastructureError, MentorError
from mentor_sandbox.metrics import SandboxMetrics
from mentor_sandbox.results import CallResult, Status, signal_name
from mentor_sandbox.settings import MIB, SandboxSettings
from mentor_sandbox.supervise.lanes.items import Item, due, expire, timed
from mentor_sandbox.supervise.network.lists import Network
from mentor_sandbox.supervise.processes.execution import Execution, Limits, Outcome
from mentor_sandbox.supervise.processes.pool import Pool
from mentor_sandbox.supervise.processes.throttle import Throttle
from mentor_sandbox.supervise.processes.ticker import Ticker
from mentor_sandbox.supervise.registry import kind_for
from mentor_sandbox.wire.said import FRAME, unpack_result


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
        self._running: dict[Item, _Running] = {}
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
        running = self._running.get(item)
        if running is not None:
            running.task.cancel()

    async def close(self) -> None:
        """Stop everything."""
        tasks = [running.task for running in self._running.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def tick(self, now: float) -> None:
        """Answer what waited too long; make room beside what runs long."""
        expire(self._pending, now)
        for running in list(self._running.values()):
            if running.execution is not None and running.execution.begun is not None:
                self._watch(running, running.execution, now)
        self._dispatch()
        if not self._pending and not self._running:
            self._ticker.discard(self)

    def _watch(self, running: _Running, execution: Execution, now: float) -> None:
        assert execution.begun is not None
        if not due(now - execution.begun, now - running.checked):
            return
        running.checked = now
        execution.lower(lambda: self._throttle.add(execution))
        if not running.long and self._long < self._settings.slow_slots:
            running.long = True
            self._long += 1

    def _dispatch(self) -> None:
        while self._pending and len(self._running) - self._long < self._settings.max_concurrency:
            item = self._pending.popleft()
            if not item.cancelled:
                running = _Running()
                self._running[item] = running
                running.task = asyncio.get_running_loop().create_task(self._run(item, running))
                self._ticker.add(self)

    async def _run(self, item: Item, running: _Running) -> None:
        answer: CallResult | Exception
        started = time.monotonic()
        try:
            answer = await self._execute(item, running)
        except MentorError as error:
            answer = error
        except asyncio.CancelledError:
            answer = InfrastructureError("the call was cancelled")
        finally:
            del self._running[item]
            if running.execution is not None:
                self._throttle.discard(running.execution)
            self._long -= running.long
        now = time.monotonic()
        self._mean_s += 0.05 * (now - started - self._mean_s)
        item.done(item, timed(answer, now - item.admitted) if isinstance(answer, CallResult) else answer)
        self._dispatch()

    async def _execute(self, item: Item, running: _Running) -> CallResult:
        if item.work is not None:
            return await item.work(running)
        request, hosts = self._request(item)
        kind = "web" if hosts else kind_for(request["source"])
        zygote = await self._pool.get(kind)
        limits = Limits.of(self._settings, item.timeout_s)
        if hosts:
            limits = self._network.open(limits, hosts)
        with self._pool.uid() as uid:
            execution = Execution(zygote, self._settings, self._pool.scratch, self._ticker, uid)
            running.execution = execution
            try:
                outcome = await execution.run(request, limits)
            finally:
                if execution.killed_for is not None:
                    self._metrics.killed(execution.killed_for)
        result = verdict(outcome, request["nonce"], self._settings)
        if result.status is Status.KILLED:
            self._metrics.killed("died")
        return result

    def _request(self, item: Item) -> tuple[dict[str, Any], tuple[str, ...]]:
        """What the child is told, and the hosts it may reach."""
        call, tool = item.call, item.tool
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
        return request, hosts


class _Running:
    """A call that has a slot."""

    def __init__(self) -> None:
        self.task: asyncio.Task[None]
        self.execution: Execution | None = None
        self.long = False
        self.checked = 0.0


def verdict(outcome: Outcome, nonce: int, settings: SandboxSettings) -> CallResult:
    """What a call's end amounts to; its duration is not known here."""
    status, value, kind, message = _status(outcome, nonce)
    flooded = max(outcome.stdout_bytes, outcome.stderr_bytes) >= settings.file_mb * MIB
    if flooded and status is Status.TOOL_ERROR:
        status, kind = Status.OUTPUT_LIMIT, "OutputLimit"
        message = f"the call printed more than {settings.file_mb} MiB"
    cut = outcome.stdout_bytes > len(outcome.stdout), outcome.stderr_bytes > len(outcome.stderr)
    return CallResult(
        status=status,
        value_json=value,
        stdout=outcome.stdout.decode("utf-8", "replace"),
        stderr=outcome.stderr.decode("utf-8", "replace"),
        error_type=kind,
        error_message=message,
        truncated=any(cut),
        stdout_truncated=cut[0],
        stderr_truncated=cut[1],
        peak_memory_bytes=outcome.end.peak_kib * 1024,
    )


def _status(outcome: Outcome, nonce: int) -> tuple[Status, str | None, str, str]:
    end = outcome.end
    if outcome.limit is not None:
        status, kind, message = outcome.limit
        return status, None, kind, message
    if end.signal == signal.SIGXCPU:
        return Status.TIMEOUT, None, "CpuTimeout", "the call used up its CPU time"
    if end.signal is not None:
        name = signal_name(end.signal)
        return Status.KILLED, None, name, f"the process was ended by {name}"
    if end.code != 0 or not outcome.said:
        return Status.KILLED, None, "Exited", f"the process exited with code {end.code} before the call returned"
    return answer_of(outcome.said, nonce) or (
        Status.KILLED,
        None,
        "ForgedResult",
        "the call wrote to the result channel",
    )


def answer_of(said: bytes, nonce: int) -> tuple[Status, str | None, str, str] | None:
    """The one frame of a well-behaved call; None for anything else."""
    if len(said) < FRAME.size or FRAME.unpack_from(said)[0] != len(said) - FRAME.size:
        return None
    result = unpack_result(said[FRAME.size :], nonce)
    if result is None or (result[1] is not None and not is_json(result[1])):
        return None
    return Status(result[0]), *result[1:]


def is_json(text: str) -> bool:
    """Whether a value that a process claims is JSON, without NaN and infinities."""
    try:
        json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return False
    return True


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
