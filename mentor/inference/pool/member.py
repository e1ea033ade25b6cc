"""One endpoint of a pool."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field

from mentor.inference.endpoint import OpenAIServer
from mentor.inference.pool.breaker import Breaker
from mentor.inference.pool.concurrency import AdaptiveLimit, Sample
from mentor.inference.pool.figures import Figures


@dataclass
class Member:
    """A server, and how it is doing.

    Attributes:
        name: in counters and figures.
        adaptive: finds how much it bears; None leaves that to whoever asks.
        resting_until: when it wants to be asked again (Retry-After).
        waiting: those of its own trajectories for which it has no room.
    """

    server: OpenAIServer
    name: str
    adaptive: AdaptiveLimit | None = None
    breaker: Breaker = field(default_factory=Breaker)
    in_flight: int = 0
    resting_until: float = 0.0
    asked: int = 0
    served: bool = False
    waiting: deque[asyncio.Future[Ticket]] = field(default_factory=deque)
    total: Figures = field(default_factory=Figures)

    def up(self, now: float) -> bool:
        """Whether it may be asked at all."""
        return not self.server.away and now >= self.resting_until and self.breaker.allows(now)

    @property
    def room(self) -> int:
        """Requests that it still takes; a large number where nothing limits them."""
        return 1 << 30 if self.adaptive is None else self.adaptive.limit - self.in_flight

    @property
    def load(self) -> float:
        """In flight, as a share of what it bears where that is known."""
        return self.in_flight / (1 if self.adaptive is None else self.adaptive.limit)

    def take(self) -> Ticket:
        """A request is about to be made."""
        self.in_flight += 1
        self.asked += 1
        sample = None if self.adaptive is None else self.adaptive.started(self.in_flight)
        return Ticket(self, self.breaker.begin(), sample)


@dataclass
class Ticket:
    """Leave to make one request of a member."""

    member: Member
    probe: bool
    sample: Sample | None
