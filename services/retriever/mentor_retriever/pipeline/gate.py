"""Bounded admission, counted in queries: beyond the bound callers are refused at once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic

from mentor.errors import OverloadedError

_SMOOTHING = 0.05


class QueryGate:
    """How many queries are inside. A request that comes alone is let in whatever its size.

    Args:
        bound: queries inside (waiting or being answered) beyond which no request is let in.
    """

    def __init__(self, bound: int) -> None:
        self._bound = bound
        self._seconds_per_query = 0.01
        self.queries = 0
        self.requests = 0

    @contextmanager
    def admit(self, queries: int) -> Iterator[None]:
        """Count a request of so many queries for the block.

        Raises:
            OverloadedError: it would overfill the queue.
        """
        if self.requests and self.queries + queries > self._bound:
            message = f"the queue is full ({self.queries} queries are inside, {self._bound} may)"
            wait = self._seconds_per_query * (self.queries + queries - self._bound)
            raise OverloadedError(message, retry_after=min(30.0, max(0.1, round(wait, 2))))
        self.queries += queries
        self.requests += 1
        began, inside = monotonic(), self.queries
        try:
            yield
        finally:
            self.queries -= queries
            self.requests -= 1
            # Little's law: what was inside when it came left in the time it took.
            self._seconds_per_query += _SMOOTHING * ((monotonic() - began) / inside - self._seconds_per_query)
