"""Tells a job's context how its endpoints are doing: counters for dashboards, gauges and totals for people."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from mentor.inference.pool.figures import Figures
from mentor.inference.pool.member import Member
from mentor.inference.pool.pool import EndpointPool
from mentor.inference.servers.watch import Watch

_COUNT_S, _TELL_S = 2.0, 10.0


class Reporter:
    """Moves what has been counted into a job's counters."""

    def __init__(self, pool: EndpointPool, watch: Watch) -> None:
        self._pool, self._watch = pool, watch
        self._told = 0.0
        self._latency: dict[str, float] = {}

    def report(self) -> None:
        """Count what is new; every ten seconds tell gauges too, and at once that a breaker has opened."""
        opened = Counter[str]()
        for member in self._pool.members:
            opened.update({f"{member.name}: {why}": number for why, number in self._count(member).items()})
        now = time.monotonic()
        if opened:
            self._watch.tell(f"an endpoint is left alone for a while: {', '.join(opened)}")
        if now - self._told >= _TELL_S:
            self._told = now
            self._watch.tell("", **self._gauges(now))

    def _count(self, member: Member) -> Counter[str]:
        total, member.total = member.total, Figures()
        total.faults.update(member.server.noted)
        member.server.noted.clear()
        count, name = self._watch.count, member.name
        for outcome, number in total.outcomes.items():
            count("mentor_model_requests", number, endpoint=name, outcome=outcome)
        for fault, number in total.faults.items():
            count("mentor_model_faults", number, endpoint=name, fault=fault)
        for why, number in total.opened.items():
            count("mentor_model_breaker_opened", number, endpoint=name, reason=why)
        for direction, tokens in (("prompt", total.prompt_tokens), ("generated", total.generated_tokens)):
            if tokens:
                count("mentor_model_tokens", tokens, endpoint=name, direction=direction)
        if total.seconds:
            count("mentor_model_request_seconds", total.seconds, endpoint=name)
            self._latency[name] = total.seconds / total.outcomes["ok"]
        return total.opened

    def _gauges(self, now: float) -> dict[str, Any]:
        gauges: dict[str, Any] = {}
        for member in self._pool.members:
            name = member.name
            gauges[f"in_flight {name}"] = member.in_flight
            gauges[f"breaker_open {name}"] = int(member.breaker.state(now) != "closed")
            if member.adaptive is not None:
                gauges[f"limit {name}"] = member.adaptive.limit
            if name in self._latency:
                gauges[f"latency_s {name}"] = round(self._latency[name], 3)
        return gauges


@asynccontextmanager
async def reported(pool: EndpointPool, watch: Watch | None) -> AsyncIterator[None]:
    """Report while the block runs, and once at its end."""
    if watch is None:
        yield
        return
    reporter = Reporter(pool, watch)

    async def go_on() -> None:
        while True:
            await asyncio.sleep(_COUNT_S)
            reporter.report()

    task = asyncio.create_task(go_on())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
        reporter.report()
