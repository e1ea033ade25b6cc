"""How many requests an endpoint bears at once, found while it is being used.

The server is asked nothing and told nothing; what is seen are latencies and refusals (429). By Little's law throughput is
concurrency over latency, so that the elasticity of latency against concurrency, d ln L / d ln N, says all: at 0 more requests
are more throughput, at 1 they only wait. The limit climbs while the elasticity is below ``1 - THETA``: doubling at first, then
by quarters. What it then knows as the latency of a good load is kept: where latency rises above it at the same limit,
somebody else is being served, and the limit is multiplied down (AIMD) until it is reached again, unless going down does not
help: then the server itself has become slower. From time to time a little less and a little more are tried.

Ours, because what there is fits neither: rate limiters (aiolimiter) want to be told the rate, and adaptive limiters of RPC
systems (Netflix's concurrency-limits, Envoy's) are not Python's and take the lowest latency ever seen for the goal. With
continuous batching latency grows from the second request on while throughput still multiplies: they would stop at a
fraction of it.
"""

from __future__ import annotations

import math
from enum import Enum, auto
from typing import NamedTuple

THETA = 0.1
_TOLERANCE = 0.1
_OURS = 0.2
"""An elasticity below which going down has not helped."""
_WAITS = 0.7
"""An elasticity above which, noise set aside, less at once is taken to cost no throughput."""
_DOUBLE, _QUARTER, _DOWN = 2.0, 1.25, 0.8
_COHORT = (24, 96)
_COUNTED = 0.8
"""Share of a cohort that has to have ended: the longest would keep the next step waiting."""
_HOLDS, _YIELDS = 4, 6
_CREEP = 1.005


class Load(NamedTuple):
    """A limit and what a request cost there: seconds, by token where tokens are counted; and how sure that is (relative)."""

    limit: float
    cost: float
    error: float


class Sample(NamedTuple):
    """Under which limit a request began, and whether it is one of those that measure it."""

    epoch: int
    counts: bool


class _Phase(Enum):
    FIRST = auto()
    UP = auto()
    HOLD = auto()
    DOWN = auto()
    YIELD = auto()


class AdaptiveLimit:
    """The limit of one endpoint. Deterministic: it has no clock, and learns from requests as they end.

    Args:
        most: never more than that at once.
        start: the first limit.
    """

    def __init__(self, most: int, start: int = 8) -> None:
        self.most = most
        self._limit = float(min(start, most))
        self._phase = _Phase.FIRST
        self._rest: Load | None = None
        self._good: float | None = None
        self._ceiling: float | None = None
        self._step = _DOUBLE
        self._climbing, self._rejected, self._held, self._yielded, self._worse = True, 0, 0, 0, 0
        self._down_next = True
        self._epoch = 0
        self._squares: tuple[float, float, float]
        self._begin()

    @property
    def limit(self) -> int:
        """Requests that may be in flight."""
        return max(1, round(self._limit))

    def started(self, in_flight: int) -> Sample:
        """A request begins, the ``in_flight``-th at once; what its end is to be told with."""
        counts = self._warm and self._begun < self._size
        if counts:
            self._begun += 1
            self._full += in_flight >= 0.8 * self.limit
        return Sample(self._epoch, counts)

    def ended(self, sample: Sample, seconds: float, tokens: int | None) -> None:
        """A request has been answered. ``tokens``: generated, None where nobody counts them."""
        if sample.epoch != self._epoch:
            return
        self._warm = True  # one has come through: from now on requests meet the load of this limit
        if not sample.counts:
            return
        size = float(tokens or 1)
        self._seconds += seconds
        self._sizes += size
        square, product, sizes = self._squares
        self._squares = (square + seconds * seconds, product + seconds * size, sizes + size * size)
        self._done += 1
        if self._done < math.ceil(_COUNTED * self._size):
            return
        if self._full < self._size / 2:  # not as many as were allowed: it says nothing of the limit
            self._begin()
            return
        self._measured(self._load())

    def _load(self) -> Load:
        """Seconds over tokens, as a ratio of sums; its error by the residuals of the requests."""
        cost = self._seconds / self._sizes
        square, product, sizes = self._squares
        residual = math.sqrt(max(0.0, square - 2 * cost * product + cost * cost * sizes))
        return Load(self._limit, cost, residual / self._seconds)

    def dropped(self, sample: Sample) -> None:
        """A request ended without an answer: another takes its place in the cohort."""
        if sample == (self._epoch, True):
            self._begun -= 1

    def overloaded(self, sample: Sample) -> None:
        """The endpoint refused a request because it has too many. Only the first of a limit counts."""
        if sample.epoch != self._epoch:
            return
        if self._rest is None:  # nothing is known yet: perhaps somebody else's last requests are being served
            self._set(self._limit * _DOWN, _Phase.FIRST)
            return
        self._ceiling = self._limit
        self._step = _QUARTER
        if self._phase is _Phase.UP:
            self._set(self._rest.limit, _Phase.HOLD)
            self._held = _HOLDS - 1 if self._climbing and self._room() > 1.02 else 0
            return
        self._climbing = False
        self._set(self._limit * _DOWN, _Phase.HOLD)
        self._held = 0

    def _begin(self) -> None:
        """A cohort: the requests by which the present limit is measured."""
        self._epoch += 1
        low, high = _COHORT
        self._size = min(high, max(low, self.limit))
        self._warm = False
        self._begun = self._full = self._done = 0
        self._seconds = self._sizes = 0.0
        self._squares = (0.0, 0.0, 0.0)

    def _set(self, limit: float, phase: _Phase) -> None:
        self._limit, self._phase = min(float(self.most), max(1.0, limit)), phase
        self._begin()

    def _room(self) -> float:
        """Factor up to the ceiling's middle, or to the most."""
        top = self.most if self._ceiling is None else (self._limit + self._ceiling) / 2
        return min(top, float(self.most)) / self._limit

    def _measured(self, now: Load) -> None:
        match self._phase:
            case _Phase.FIRST:
                self._rest, self._good = now, now.cost
                self._up()
            case _Phase.UP:
                self._went_up(now)
            case _Phase.DOWN:
                self._went_down(now)
            case _Phase.YIELD:
                self._yielding(now)
            case _Phase.HOLD:
                self._hold(now)

    def _above(self, now: Load) -> bool:
        """Whether a request costs more than at a good load, beyond tolerance and doubt."""
        assert self._good is not None
        return now.cost > self._good * (1 + max(_TOLERANCE, 2 * now.error))

    def _up(self) -> None:
        """Try more, if there is room for it."""
        factor = min(self._step, self._room())
        if factor <= 1.02 or round(self._limit * factor) <= self.limit:
            self._ceiling = None  # reached: the next step goes beyond it, to see whether it still holds
            self._climbing = False
            self._set(self._limit, _Phase.HOLD)
            return
        self._set(self._limit * factor, _Phase.UP)

    def _went_up(self, now: Load) -> None:
        assert self._rest is not None and self._good is not None
        up, unsure = elasticity(self._rest, now), doubt(self._rest, now)
        gained = up < 1 - THETA and (self._step == _DOUBLE or up + unsure < 1)
        if gained and (self._climbing or not self._above(now)):
            self._rest, self._rejected = now, 0
            if self._climbing:
                self._good = now.cost
            self._up()
            return
        self._rejected += 1
        if self._climbing and (self._step == _DOUBLE or self._rejected < 2):
            self._step = _QUARTER
            self._set(self._rest.limit, _Phase.FIRST)
            return
        self._climbing = False
        self._set(self._rest.limit, _Phase.HOLD)

    def _hold(self, now: Load) -> None:
        if self._good is None or self._rest is None:
            self._good = now.cost
        if self._above(now):
            self._worse += 1
            if self._worse < 2:
                self._begin()
                return
            self._rest, self._yielded, self._worse = now, 0, 0
            self._set(self._limit * _DOWN, _Phase.YIELD)
            return
        self._worse = 0
        self._rest = now
        self._good *= _CREEP if now.cost > self._good else 1 - 0.1 * (1 - now.cost / self._good)
        self._held += 1
        if self._held < _HOLDS:
            self._begin()
            return
        self._held = 0
        down, self._down_next = self._down_next and self.limit > 1 and not self._climbing, not self._down_next
        if down:
            self._set(self._limit * _DOWN, _Phase.DOWN)
        else:
            self._up()

    def _went_down(self, now: Load) -> None:
        """Less was tried: it stays where that has cost no throughput."""
        assert self._rest is not None and self._good is not None
        if elasticity(now, self._rest) - doubt(now, self._rest) >= _WAITS:
            self._rest, self._good = now, min(self._good, now.cost)
            self._set(self._limit * _DOWN, _Phase.DOWN)
        else:
            self._set(self._rest.limit, _Phase.HOLD)

    def _yielding(self, now: Load) -> None:
        assert self._rest is not None and self._good is not None
        before = self._rest
        if not self._above(now):
            self._rest = now
            self._set(self._limit, _Phase.HOLD)
        elif elasticity(now, before) - doubt(now, before) < _OURS:
            self._good = (before.cost + now.cost) / 2
            self._set(before.limit, _Phase.HOLD)
        elif self._yielded + 1 >= _YIELDS or self.limit == 1:  # it will not become what it was: learn it anew
            self._climbing, self._step, self._rejected, self._ceiling = True, _DOUBLE, 0, None
            self._set(self._limit, _Phase.FIRST)
        else:
            self._rest = now
            self._yielded += 1
            self._set(self._limit * _DOWN, _Phase.YIELD)


def elasticity(lower: Load, higher: Load) -> float:
    """d ln cost / d ln limit between two loads."""
    return math.log(higher.cost / lower.cost) / math.log(higher.limit / lower.limit)


def doubt(lower: Load, higher: Load) -> float:
    """Standard error of their elasticity."""
    return math.hypot(lower.error, higher.error) / math.log(higher.limit / lower.limit)
