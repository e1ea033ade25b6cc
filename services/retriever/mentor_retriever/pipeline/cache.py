"""Repeated queries: an LRU cache, and one computation for callers that ask the same thing at the same time."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

R = TypeVar("R")


@dataclass(eq=False)
class _Flight(Generic[R]):
    """A computation under way and how many wait for it."""

    task: asyncio.Task[R]
    waiters: int = 0


class RankingCache(Generic[R]):
    """Answers by key. Belongs to one event loop; a generation of the index has its own.

    Args:
        size: answers kept; 0 keeps none (concurrent twins still share one computation).
        count: told ``hit``, ``miss`` or ``joined`` for every request.
        keep: whether an answer is worth keeping (a partial one is not).
    """

    def __init__(self, size: int, count: Callable[[str], None], keep: Callable[[R], bool] = lambda _: True) -> None:
        self._size = size
        self._count = count
        self._keep = keep
        self._kept: OrderedDict[Hashable, R] = OrderedDict()
        self._flights: dict[Hashable, _Flight[R]] = {}

    async def get(self, key: Hashable, compute: Callable[[], Awaitable[R]]) -> R:
        """The kept answer, the one under way, or a new one. A failure is not kept.

        A caller that goes away takes the computation with it only if nobody else waits for it.
        """
        if key in self._kept:
            self._kept.move_to_end(key)
            self._count("hit")
            return self._kept[key]
        flight = self._flights.get(key)
        self._count("miss" if flight is None else "joined")
        if flight is None:
            flight = _Flight(asyncio.get_running_loop().create_task(self._compute(key, compute)))
            self._flights[key] = flight
        return await self._join(key, flight)

    async def _join(self, key: Hashable, flight: _Flight[R]) -> R:
        flight.waiters += 1
        try:
            return await asyncio.shield(flight.task)
        finally:
            flight.waiters -= 1
            if not flight.waiters and not flight.task.done():
                self._land(key, flight.task)
                flight.task.cancel()

    async def _compute(self, key: Hashable, compute: Callable[[], Awaitable[R]]) -> R:
        try:
            answer = await compute()
        finally:
            self._land(key, asyncio.current_task())
        if self._size and self._keep(answer):
            self._kept[key] = answer
            if len(self._kept) > self._size:
                self._kept.popitem(last=False)
        return answer

    def _land(self, key: Hashable, task: asyncio.Task[R] | None) -> None:
        """Nobody may join it any more; a newer computation of the same key stays."""
        if key in self._flights and self._flights[key].task is task:
            del self._flights[key]
