"""QA answers wherever the model put them; exact match decides, F1, precision, recall and substring match stand beside."""

from __future__ import annotations

from mentor.grading import JUDGES, Verdict
from mentor.grading.response import final_answer
from mentor.trajectory import Question, Trajectory


class _QAResponse:
    name = "qa_response"
    summary = "exact match of the final turn's answer, with F1, precision, recall and substring match beside"

    def score(self, question: Question, trajectory: Trajectory) -> Verdict:
        return JUDGES.get("qa_em").grade(final_answer(trajectory, "text"), question.answers)


PLUGIN = _QAResponse()
