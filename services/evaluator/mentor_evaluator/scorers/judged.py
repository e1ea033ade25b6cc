"""Every judge as a scorer: the final answer of a trajectory beside the question's accepted answers."""

from __future__ import annotations

from dataclasses import dataclass

from mentor.grading import JUDGES, Verdict
from mentor.grading.judges import AnswerJudge
from mentor.trajectory import Question, Trajectory


@dataclass(frozen=True)
class Judged:
    """A judge that looks at the trajectory's final answer."""

    judge: AnswerJudge

    @property
    def name(self) -> str:
        return self.judge.name

    @property
    def summary(self) -> str:
        return self.judge.summary

    def score(self, question: Question, trajectory: Trajectory) -> Verdict:
        return self.judge.grade(trajectory.answer, question.answers)


PLUGINS = tuple(Judged(judge) for judge in JUDGES)
