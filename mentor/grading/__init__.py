"""Grading of answers: mathematical equality, and QA metrics."""

from __future__ import annotations

from collections.abc import Sequence

from mentor.grading.judge import MathGrade, MathJudge
from mentor.grading.judges import JUDGES, JudgeName
from mentor.grading.judges.math import shared_math_judge
from mentor.grading.qa import QAGrade, grade_qa
from mentor.grading.verdict import Verdict
from mentor.rewards.base import Judge


def grade_math(prediction: str | None, gold: str | Sequence[str]) -> MathGrade:
    """Judge a mathematical answer with the shared judge."""
    return shared_math_judge().grade(prediction, gold)


def make_judge(kind: str) -> Judge:
    """A yes-or-no judge for rewards and filters.

    Raises:
        UserError: there is no judge called ``kind``.
    """
    judge = JUDGES.get(kind)
    return lambda prediction, golds: judge.grade(prediction, golds).correct


__all__ = [
    "JUDGES", "JudgeName", "MathGrade", "MathJudge", "QAGrade", "Verdict", "grade_math", "grade_qa", "make_judge",
    "shared_math_judge",
]  # fmt: skip
