"""What a benchmark says of its goals: a peer that is missing is no pass."""

from __future__ import annotations

from benchmarks.results import Row, by_published_peers, closing, markdown

REACHED = Row("fast", "calls/s", (20.0,), "peer", (10.0,), 5, 2, peer_samples=7)
MISSED = Row("dear", "ms", (2.07,), "floor", (1.0,), 5, 2, at_most=True)
ABSENT = Row("alone", "calls/s", (20.0,), "peer that is not there", (), 5, 2)
SHOWN = Row("shown", "calls/s", (20.0,), "", (), 5)


def test_the_last_line_tells_reached_missed_and_not_compared_apart() -> None:
    assert closing([REACHED, SHOWN]) == (0, "1 of 1 goals reached")
    assert closing([REACHED, ABSENT]) == (2, "1 of 2 goals reached, 1 not compared: alone")
    assert closing([REACHED, MISSED, ABSENT]) == (1, "1 of 3 goals reached, 1 missed: dear, 1 not compared: alone")
    assert closing([Row("broken", "ms", (1.0,), "peer", (1.0,), 5, errors=1)])[0] == 1


def test_a_little_beyond_a_bound_is_a_miss() -> None:
    assert MISSED.missed


def test_the_table_has_both_numbers_of_calls_and_says_what_was_not_compared() -> None:
    rows = markdown([REACHED, ABSENT]).splitlines()[2:]
    assert rows[0].endswith("| 2.00 | ≥ 2 | 5 and 7 |")
    assert "| not compared | ≥ 2 | 5 |" in rows[1]


def test_a_goal_beside_a_stand_in_for_a_published_server_is_not_compared() -> None:
    beside = Row("q/s", "1/s", (30.0,), "Search-R1 (stand-in)", (10.0,), 9, 2.0)
    published = Row("q/s", "1/s", (30.0,), "Search-R1", (10.0,), 9, 2.0)
    shown, absent = by_published_peers([beside])
    assert (shown.goal, shown.missed, shown.theirs) == (None, False, (10.0,))
    assert absent.not_compared and absent.peer == "Search-R1: no checkout"
    assert closing([shown, absent])[0] == 2
    assert by_published_peers([published]) == [published] and closing([published])[0] == 0
