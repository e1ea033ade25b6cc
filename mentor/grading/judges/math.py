"""Mathematical equality, by math-verify in killable worker processes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from mentor.grading.judge import MathJudge
from mentor.grading.verdict import Verdict


@cache
def shared_math_judge() -> MathJudge:
    """The process's own judge: its workers are shared by every caller."""
    return MathJudge()


class _Math:
    name = "math"
    summary = "mathematical equality: numbers, expressions, intervals, sets"

    def grade(self, prediction: str | None, golds: Sequence[str]) -> Verdict:
        grade = shared_math_judge().grade(prediction, golds)
        return Verdict(correct=grade.correct, reason=grade.reason, seconds=grade.seconds)


PLUGIN = _Math()
