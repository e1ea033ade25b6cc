"""Nobody earns by an attack what an honest wrong answer does not, whatever the preset."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from mentor.grading import MathJudge
from tests.reward_attacks.cases import ATTACKS, DESERVED, HONEST
from tests.reward_attacks.referee import Row, play, totals


@pytest.fixture(scope="module")
def rows() -> Iterator[dict[str, Row]]:
    """What every attack earns, and the two honest students, by name."""
    judge = MathJudge(timeout_s=1.0)

    async def all_of_them() -> list[Row]:
        return totals([await play(attack) for attack in (HONEST, DESERVED, *ATTACKS)], judge)

    yield {row.name: row for row in asyncio.run(all_of_them())}
    judge.close()


def test_no_attack_earns_more_than_an_honest_wrong_answer(rows: dict[str, Row]) -> None:
    honest = rows[HONEST.name]
    assert len(ATTACKS) >= 60
    above = {
        f"{attack.name} by {preset}": total
        for attack in ATTACKS
        for preset, total in rows[attack.name].totals.items()
        if total > honest.totals[preset] + 1e-9
    }
    assert above == {}
    deserved = rows[DESERVED.name]
    assert all(deserved.totals[preset] > honest.totals[preset] for preset in honest.totals), "while honest work pays"


def test_attacks_are_attacks_where_a_reward_reads_text(rows: dict[str, Row]) -> None:
    deceived = {attack.name for attack in ATTACKS if rows[attack.name].text > rows[HONEST.name].text + 1e-9}
    assert {
        "the right box in the reasoning alone", "the right box in a call's arguments", "the right box in what a tool gave back",
        "an answer and calls in one turn, then nothing",
    } <= deceived  # fmt: skip
