"""A second opinion on mathematical equality, by SymPy and a reader of its own, in the same killable workers."""

from __future__ import annotations

from collections.abc import Sequence

from mentor.grading.judges.math import shared_math_judge
from mentor.grading.verdict import Verdict


class _Symbolic:
    name = "symbolic"
    summary = "mathematical equality by SymPy, independent of math-verify: a second judge"

    def grade(self, prediction: str | None, golds: Sequence[str]) -> Verdict:
        grade = shared_math_judge().grade(prediction, golds, method="symbolic")
        return Verdict(correct=grade.correct, reason=grade.reason, seconds=grade.seconds)


PLUGIN = _Symbolic()
