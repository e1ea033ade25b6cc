"""Math answers wherever the model put them: boxed, or in words at the end of its final turn."""

from __future__ import annotations

from mentor.grading import JUDGES, Verdict
from mentor.grading.response import final_answer
from mentor.trajectory import Question, Trajectory


class _MathResponse:
    name = "math_response"
    summary = "mathematical equality of the final turn's answer, boxed or in words"

    def score(self, question: Question, trajectory: Trajectory) -> Verdict:
        return JUDGES.get("math").grade(final_answer(trajectory), question.answers)


PLUGIN = _MathResponse()
