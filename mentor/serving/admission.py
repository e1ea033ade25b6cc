"""Bounded admission: so many calls run, so many wait, the rest are refused at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from mentor.errors import DeadlineError, OverloadedError
from mentor.rpc.context import remaining

_SMOOTHING = 0.05


class Admission:
    """Counts what runs and what waits. Durations are smoothed to tell refused callers when to come back."""

    def __init__(self, max_concurrency: int, max_queue: int, queue_timeout_s: float) -> None:
        self._slots = asyncio.Semaphore(max_concurrency)
        self._max_concurrency = max_concurrency
        self._max_queue = max_queue
        self._queue_timeout_s = queue_timeout_s
        self.waiting = 0
        self.running = 0
        self._mean_s = 0.05

    def check(self, calls: int = 1) -> None:
        """Raises OverloadedError if so many more calls would overfill the queue."""
        free = self._max_concurrency - self.running - self.waiting
        if calls > free + self._max_queue:
            wait = self._mean_s * (self.waiting + calls) / self._max_concurrency
            message = f"the queue is full ({self.waiting} calls wait, {self._max_queue} may)"
            raise OverloadedError(message, retry_after=min(30.0, max(0.1, round(wait, 2))))

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Hold a slot for the block.

        Raises:
            OverloadedError: the queue is full.
            DeadlineError: the caller's deadline, or the queue's own limit, passed while waiting.
        """
        self.check()
        self.waiting += 1
        try:
            async with asyncio.timeout(remaining(self._queue_timeout_s)):
                await self._slots.acquire()
        except TimeoutError:
            raise DeadlineError("the call's deadline passed while it waited for a free slot") from None
        finally:
            self.waiting -= 1
        self.running += 1
        started = asyncio.get_running_loop().time()
        try:
            yield
        finally:
            self.running -= 1
            self._slots.release()
            took = asyncio.get_running_loop().time() - started
            self._mean_s += _SMOOTHING * (took - self._mean_s)
