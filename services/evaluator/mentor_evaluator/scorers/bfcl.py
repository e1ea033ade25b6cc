"""BFCL's verdicts: said when a sample was drawn, by the package's checkers, in processes that may die."""

from __future__ import annotations

from mentor.grading import Verdict
from mentor.trajectory import Question, Trajectory
from mentor_evaluator.bfcl.sampling import verdict_of


class _BFCL:
    name = "bfcl"
    summary = "the checkers of BFCL v4 (suites of the group bfcl only)"

    def score(self, question: Question, trajectory: Trajectory) -> Verdict:
        said = verdict_of(trajectory)
        return Verdict(correct=said.valid, reason=said.reason)


PLUGIN = _BFCL()
