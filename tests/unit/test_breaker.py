"""The circuit breaker: when it opens, whom it lets try, and when it closes."""

from __future__ import annotations

from mentor.inference.pool.breaker import Breaker


def opened(breaker: Breaker, now: float = 0.0) -> Breaker:
    for _ in range(breaker.threshold):
        assert breaker.state(now) == "closed"
        breaker.failed(now, breaker.begin())
    return breaker


def test_it_opens_after_failures_in_a_row_and_not_before() -> None:
    breaker = Breaker(threshold=3)
    for _ in range(10):
        breaker.failed(0.0, breaker.begin())
        breaker.failed(0.0, breaker.begin())
        breaker.succeeded()
    assert breaker.allows(0.0)
    assert opened(breaker).state(0.0) == "open" and not breaker.allows(0.5)


def test_one_request_is_the_probe_and_the_others_wait_for_it() -> None:
    breaker = opened(Breaker())
    assert breaker.state(1.0) == "half_open" and breaker.allows(1.0)
    assert breaker.begin()
    assert not breaker.allows(1.0)
    breaker.succeeded()
    assert breaker.state(1.0) == "closed" and breaker.allows(1.0) and not breaker.begin()


def test_a_probe_that_fails_leaves_it_open_for_twice_as_long_up_to_a_bound() -> None:
    breaker, now, waits = opened(Breaker(shortest_s=1.0, longest_s=5.0)), 0.0, []
    for _ in range(4):
        assert breaker.until is not None
        waits.append(breaker.until - now)
        now = breaker.until
        assert breaker.failed(now, breaker.begin())
    assert waits == [1.0, 2.0, 4.0, 5.0]


def test_what_was_under_way_when_it_opened_does_not_keep_it_open() -> None:
    breaker = opened(Breaker())
    until = breaker.until
    assert not breaker.failed(0.9, probe=False)
    assert breaker.until == until


def test_a_probe_that_was_given_up_leaves_the_place_to_another() -> None:
    breaker = opened(Breaker())
    breaker.dropped(breaker.begin())
    assert breaker.allows(1.0)
