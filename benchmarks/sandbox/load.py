"""Callers in a closed loop, and what they see; the CPU of the processes that serve them."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

import psutil

from benchmarks.client import Call


@dataclass(frozen=True)
class Load:
    """What callers saw: calls per second, seconds of each request, and how many calls there were."""

    rate: float
    seconds: list[float]
    calls: int


async def load(call: Call, concurrency: int, seconds: float, pause_s: float = 0.0) -> Load:
    """``concurrency`` callers, each with one request after the other (and a pause between), for so long."""
    until = time.perf_counter() + seconds
    took: list[float] = []

    async def caller() -> int:
        done = 0
        while time.perf_counter() < until:
            if pause_s:
                await asyncio.sleep(pause_s)
            begun = time.perf_counter()
            done += await call()
            took.append(time.perf_counter() - begun)
        return done

    started = time.perf_counter()
    calls = sum(await asyncio.gather(*(caller() for _ in range(concurrency))))
    return Load(calls / (time.perf_counter() - started), took, calls)


def cpu_s(pid: int) -> tuple[float, float]:
    """CPU of a process and of its ended, reaped descendants; and of its living descendants with theirs."""
    process = psutil.Process(pid)
    own = process.cpu_times()
    others = 0.0
    for child in process.children(recursive=True):
        try:
            times = child.cpu_times()
        except psutil.Error:
            continue
        others += times.user + times.system + times.children_user + times.children_system
    return own.user + own.system, others
