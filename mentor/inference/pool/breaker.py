"""A circuit breaker: an endpoint that fails again and again is left alone, and asked one thing after a while.

Ours, because routing has to know beforehand who may be asked, and one of many callers has to be the probe: the libraries
there are (pybreaker, aiobreaker, purgatory) wrap a call and raise when it is made.
"""

from __future__ import annotations

from typing import Literal

State = Literal["closed", "open", "half_open"]


class Breaker:
    """Opens after ``threshold`` failures in a row; each time for twice as long, up to ``longest_s``.

    Overload and refusals of one request are no failures: whoever answers so is there.
    """

    def __init__(self, threshold: int = 5, shortest_s: float = 1.0, longest_s: float = 30.0) -> None:
        self.threshold, self.shortest_s, self.longest_s = threshold, shortest_s, longest_s
        self.failures = 0
        self.until: float | None = None
        self._open_s = shortest_s
        self._probing = False

    def state(self, now: float) -> State:
        """``half_open``: the time is over, and the next request is the probe."""
        if self.until is None:
            return "closed"
        return "open" if now < self.until else "half_open"

    def allows(self, now: float) -> bool:
        """Whether a request may be made now."""
        return self.until is None or (now >= self.until and not self._probing)

    def begin(self) -> bool:
        """A request is made; True if it is the probe."""
        if self.until is None:
            return False
        self._probing = True
        return True

    def succeeded(self) -> None:
        """It answered as it should."""
        self.failures, self.until, self._open_s, self._probing = 0, None, self.shortest_s, False

    def failed(self, now: float, probe: bool) -> bool:
        """It did not; True if that has opened it. What was under way when it opened says nothing new."""
        if self.until is not None and not probe:
            return False
        self.failures += 1
        if self.until is None and self.failures < self.threshold:
            return False
        self._probing = False
        self.until = now + self._open_s
        self._open_s = min(self.longest_s, 2 * self._open_s)
        return True

    def dropped(self, probe: bool) -> None:
        """The request was given up before it was known how it ends."""
        if probe:
            self._probing = False
