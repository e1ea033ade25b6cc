"""The adaptive limit against simulated servers: time is simulated too, so that every run is the same."""

from __future__ import annotations

import heapq
import math
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count

import pytest

from mentor.inference.pool.concurrency import AdaptiveLimit, Sample

PLACES = 100
REFUSAL_S, AGAIN_S = 0.005, 0.3


@dataclass
class Server:
    """Serves ``PLACES`` at once in about a second: beyond, it queues, refuses (429), or slows all down."""

    kind: str
    rng: random.Random
    slower: Callable[[float], float] = lambda now: 1.0
    running: int = 0
    queue: deque[tuple[str, float, Sample | None]] = field(default_factory=deque)

    def seconds(self, now: float) -> float:
        noise = math.exp(self.rng.gauss(-0.02, 0.2))
        load = 1 + (self.running / PLACES) ** 2 if self.kind == "slows" else 1.0
        return noise * load * self.slower(now)


class World:
    """One adaptive client in a closed loop, and perhaps another that always has ``others`` requests out."""

    def __init__(self, kind: str, most: int = 512, slower: Callable[[float], float] = lambda now: 1.0) -> None:
        self.server = Server(kind, random.Random(7), slower)
        self.limit = AdaptiveLimit(most)
        self.now, self.mine = 0.0, 0
        self.events: list[tuple[float, int, str, tuple[str, float, Sample | None]]] = []
        self.numbers = count()
        self.ended: list[tuple[float, str]] = []

    def at(self, when: float, what: str, request: tuple[str, float, Sample | None]) -> None:
        heapq.heappush(self.events, (when, next(self.numbers), what, request))

    def send(self, request: tuple[str, float, Sample | None]) -> None:
        server = self.server
        if server.kind == "slows" or server.running < PLACES:
            server.running += 1
            self.at(self.now + server.seconds(self.now), "end", request)
        elif server.kind == "queues":
            server.queue.append(request)
        else:
            self.at(self.now + REFUSAL_S, "refuse", request)

    def fill(self) -> None:
        while self.mine < self.limit.limit:
            self.mine += 1
            self.send(("me", self.now, self.limit.started(self.mine)))

    def run(self, until: float, others: int = 0) -> None:
        for _ in range(others):
            self.send(("other", self.now, None))
        self.fill()
        while self.events and self.events[0][0] < until:
            self.now, _, what, (who, began, sample) = heapq.heappop(self.events)
            if what == "again":
                self.send(("other", self.now, None))
                continue
            if what == "end":
                self.server.running -= 1
                self.ended.append((self.now, who))
                if self.server.queue:
                    self.send(self.server.queue.popleft())
            if who == "other":
                self.at(self.now + (AGAIN_S if what == "refuse" else 0.0), "again", (who, self.now, None))
                continue
            self.mine -= 1
            assert sample is not None
            if what == "end":
                self.limit.ended(sample, self.now - began, None)
            else:
                self.limit.overloaded(sample)
                self.limit.dropped(sample)
            self.fill()
        self.now = until

    def rate(self, begin: float, end: float, who: str = "me") -> float:
        return sum(name == who and begin <= when < end for when, name in self.ended) / (end - begin)


BEST = {"queues": PLACES, "refuses": PLACES, "slows": PLACES / 2}
"""Requests a second at the best concurrency, which is ``PLACES`` for all three."""


@pytest.mark.parametrize("kind", list(BEST))
def test_nine_tenths_of_the_best_throughput_are_found_within_a_minute(kind: str) -> None:
    world = World(kind)
    world.run(90.0)
    assert world.rate(60.0, 90.0) >= 0.9 * BEST[kind]
    assert world.limit.limit <= 2 * PLACES  # and not by simply asking for more


@pytest.mark.parametrize("kind", list(BEST))
def test_half_is_given_up_to_another_client_that_takes_it_and_taken_back_when_it_leaves(kind: str) -> None:
    world = World(kind)
    world.run(90.0)
    alone = world.limit.limit
    world.run(240.0, others=PLACES // 2)
    mine, its = world.rate(180.0, 240.0), world.rate(180.0, 240.0, "other")
    assert its / (mine + its) > 0.4
    assert world.limit.limit < 0.9 * alone


def test_a_server_that_is_slower_for_good_is_not_taken_for_somebody_elses() -> None:
    world = World("queues", slower=lambda now: 1.0 if now < 60 else 10.0)
    world.run(600.0)
    assert world.rate(400.0, 600.0) >= 0.8 * PLACES / 10


def test_the_limit_keeps_within_its_bounds() -> None:
    world = World("queues", most=20)
    world.run(60.0)
    assert world.limit.limit == 20
    refusing = AdaptiveLimit(most=20)
    for _ in range(100):
        refusing.overloaded(refusing.started(1))
    assert refusing.limit == 1


def test_one_burst_of_refusals_is_one_step_down() -> None:
    limit = AdaptiveLimit(most=100, start=50)
    samples = [limit.started(n) for n in range(1, 51)]
    for sample in samples:
        limit.overloaded(sample)
    assert limit.limit == 40


def test_requests_that_are_too_few_to_fill_the_limit_say_nothing_of_it() -> None:
    limit = AdaptiveLimit(most=100)
    for _ in range(500):
        limit.ended(limit.started(1), 1.0, None)
    assert limit.limit == 8


def test_longer_answers_are_no_congestion() -> None:
    """Costs are by token: the same speed with answers of any length is the same load."""
    long = AdaptiveLimit(most=512)
    rng, flying = random.Random(1), deque[tuple[Sample, float, int]]()
    for _ in range(4000):
        while len(flying) < long.limit:
            tokens = rng.randint(10, 4000)
            flying.append((long.started(len(flying) + 1), 0.01 * tokens, tokens))
        long.ended(*flying.popleft())
    assert long.limit > 256


def test_a_refusal_at_the_very_start_does_not_hold_the_limit_down() -> None:
    """Somebody else's last requests were still being served: that is over in a moment."""
    world = World("refuses")
    world.limit.overloaded(world.limit.started(1))
    world.run(90.0)
    assert world.rate(60.0, 90.0) >= 0.9 * BEST["refuses"]
