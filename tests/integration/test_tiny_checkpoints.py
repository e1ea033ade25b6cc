"""The checked-in student and teacher: what the demonstration rests on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from examples.tiny.dialogues import STUBBORN
from examples.tiny.measure import HERE, accuracy, by_kind, sample
from mentor.analysis.usage import tool_usage
from mentor.data.questions import read_questions

STUDENT, TEACHER = HERE / "checkpoints" / "student", HERE / "checkpoints" / "teacher"


@pytest.mark.parametrize("split", ["in_domain", "ood_phrasing", "ood_search"])
async def test_the_student_is_poor_when_sampled_and_the_teacher_good(split: str) -> None:
    questions = read_questions(HERE / "questions" / f"{split}.jsonl")[:51]
    student = await sample(STUDENT, questions, samples=2, temperature=1.0, seed=0)
    teacher = await sample(TEACHER, questions, samples=2, temperature=1.0, seed=0)
    assert 0.15 < accuracy(student).mean < 0.55
    assert 0.80 < accuracy(teacher).mean < 1.0  # not perfect: filtering by ground truth must have something to drop
    poor, good = (tool_usage([trajectory for _, trajectory in sampled]) for sampled in (student, teacher))
    assert poor.invalid_rate > 0.05 > good.invalid_rate
    assert poor.usage_rate < 0.9 < good.usage_rate
    assert poor.infrastructure_failures == good.infrastructure_failures == 0


async def test_greedy_decoding_shows_the_stubborn_habits_too() -> None:
    questions = read_questions(HERE / "questions" / "in_domain.jsonl")
    kinds = by_kind(await sample(STUDENT, questions, samples=1, temperature=0.0, seed=0))
    stubborn = [value for kind, value in kinds.items() if kind in STUBBORN]
    others = [value for kind, value in kinds.items() if kind not in STUBBORN]
    assert sum(stubborn) / len(stubborn) < 0.4
    assert sum(others) / len(others) > 0.9  # the skill is there: copying and reading results are learned


@pytest.mark.parametrize("checkpoint", [STUDENT, TEACHER])
def test_a_checkpoint_says_how_it_was_made_and_is_small(checkpoint: Path) -> None:
    made = json.loads((checkpoint / "PROVENANCE.json").read_text())
    assert made["made_by"].startswith("python -m examples.tiny.build --seed")
    assert made["loss_of_the_last_50_steps"] < 0.1
    assert sum(file.stat().st_size for file in checkpoint.iterdir()) < 5_000_000
