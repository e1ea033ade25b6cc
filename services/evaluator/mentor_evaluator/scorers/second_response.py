"""Second judges on the final answer wherever the model put it: to stand beside ``math_response`` and ``qa_response``."""

from __future__ import annotations

from dataclasses import dataclass

from mentor.grading import JUDGES, Verdict
from mentor.grading.response import final_answer
from mentor.grading.words import Kind
from mentor.trajectory import Question, Trajectory


@dataclass(frozen=True)
class _SecondResponse:
    name: str
    summary: str
    judge: str
    kind: Kind

    def score(self, question: Question, trajectory: Trajectory) -> Verdict:
        return JUDGES.get(self.judge).grade(final_answer(trajectory, self.kind), question.answers)


PLUGINS = (
    _SecondResponse(
        "symbolic_response", "SymPy's opinion of the final turn's answer, boxed or in words", "symbolic", "math"
    ),
    _SecondResponse("llm_response", "a model's opinion of the final turn's answer, boxed or in words", "llm", "text"),
)
