"""How much one caller may have: so many requests a second, so many at once."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from limits import RateLimitItemPerSecond
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from mentor.errors import OverloadedError

_WINDOW_S = 10


class ClientLimits:
    """Counts per caller, in this process. None means no limit.

    Args:
        rate_per_s: requests a second, as a mean over ten seconds, so that bursts pass.
        concurrency: requests being answered at once.
    """

    def __init__(self, rate_per_s: float | None, concurrency: int | None) -> None:
        self._rate = (
            RateLimitItemPerSecond(max(1, math.ceil(rate_per_s * _WINDOW_S)), _WINDOW_S) if rate_per_s else None
        )
        self._limiter = MovingWindowRateLimiter(MemoryStorage())
        self._concurrency = concurrency
        self._running: Counter[str] = Counter()

    @contextmanager
    def admit(self, client: str) -> Iterator[None]:
        """Count a request of this caller for the block.

        Raises:
            OverloadedError: the caller has more than its share; ``retry_after`` says when to come back.
        """
        if self._rate is not None and not self._limiter.hit(self._rate, client):
            reset = self._limiter.get_window_stats(self._rate, client).reset_time
            raise OverloadedError(
                f"{client} sends more than {self._rate.amount / _WINDOW_S:g} requests a second",
                retry_after=max(0.1, round(reset - time.time(), 2)),
            )
        if self._concurrency is not None and self._running[client] >= self._concurrency:
            raise OverloadedError(f"{client} has {self._concurrency} requests in flight, as many as it may")
        self._running[client] += 1
        try:
            yield
        finally:
            self._running[client] -= 1
            if not self._running[client]:
                del self._running[client]
