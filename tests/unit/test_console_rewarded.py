"""A step's reward is explained with the weights that the step was scored with."""

from __future__ import annotations

from typing import Any

import pytest

from mentor.errors import UserError
from mentor.rewards import Weights, WeightSchedule, load_preset
from mentor_console.trajectory.rewarded import explain, reward_at
from tests.support.told import QUESTION, told

END = {"correctness": 1.0, "alignment": 0.0, "validation": 0.05}
JOB: dict[str, Any] = {"reward": "flexible", "reward_weights_end": END, "reward_anneal_steps": 11}


@pytest.mark.parametrize("step", [1, 2, 6, 10, 11, 12, 500])
def test_the_weights_are_those_of_the_trainer_at_that_step(step: int) -> None:
    trained = WeightSchedule(spec=load_preset("flexible"), last=Weights(**END), steps=11).at(step)
    assert reward_at("flexible", JOB, step) == trained


def test_half_way_the_total_is_half_way() -> None:
    trajectory = told("student", 4)
    totals = [explain(trajectory, QUESTION, reward_at("flexible", JOB, step), True).best.total for step in (1, 6, 11)]
    assert totals[0] == pytest.approx(1.1) and totals[2] == pytest.approx(1.05)
    assert totals[1] == pytest.approx((totals[0] + totals[2]) / 2)


@pytest.mark.parametrize(
    ("preset", "job", "step"),
    [
        ("flexible", {"reward": "flexible"}, 6), ("flexible", JOB, None), ("paper_strict", JOB, 6),
        ("flexible", JOB | {"reward_weights_end": {"correctness": "much"}}, 6),
        ("flexible", JOB | {"reward_anneal_steps": 1}, 6),
        ("flexible", JOB | {"reward_weights_end": "all"}, 6),
    ],
)  # fmt: skip
def test_what_is_not_annealed_is_the_preset_as_it_is(preset: str, job: dict[str, Any], step: int | None) -> None:
    assert reward_at(preset, job, step) == load_preset(preset)


def test_an_unknown_preset_names_those_that_there_are() -> None:
    with pytest.raises(UserError, match="none_such") as refused:
        reward_at("none_such", JOB, 1)
    assert refused.value.field == "preset" and "flexible" in str(refused.value.allowed)
