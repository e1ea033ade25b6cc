"""Grading of answers: mathematical equality, and QA metrics."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from mentor.errors import UserError
from mentor.grading.judge import MathGrade, MathJudge
from mentor.grading.qa import QAGrade, grade_qa
from mentor.rewards.base import Judge

JUDGES = ("math", "qa_em", "qa_sub_em")


@cache
def shared_math_judge() -> MathJudge:
    """The process's own judge: its workers are shared by every caller."""
    return MathJudge()


def grade_math(prediction: str | None, gold: str | Sequence[str]) -> MathGrade:
    """Judge a mathematical answer with the shared judge."""
    return shared_math_judge().grade(prediction, gold)


def make_judge(kind: str) -> Judge:
    """A yes-or-no judge for rewards and filters.

    Raises:
        UserError: ``kind`` is not one of ``JUDGES``.
    """
    if kind == "math":
        return lambda prediction, golds: grade_math(prediction, golds).correct
    if kind == "qa_em":
        return lambda prediction, golds: grade_qa(prediction, golds).em == 1
    if kind == "qa_sub_em":
        return lambda prediction, golds: grade_qa(prediction, golds).sub_em == 1
    raise UserError(f"unknown judge {kind!r}", field="judge", allowed=", ".join(JUDGES))


__all__ = ["JUDGES", "MathGrade", "MathJudge", "QAGrade", "grade_math", "grade_qa", "make_judge", "shared_math_judge"]
