"""Scorers: one file each. A scorer looks at a whole trajectory; a judge (``mentor.grading.judges``) at its answer alone.

Users' own come by the entry points of ``mentor.scorers``. Every judge is a scorer too, under its own name.
"""

from __future__ import annotations

from typing import Protocol

from mentor.grading import Verdict
from mentor.plugins import Plugin, Registry
from mentor.trajectory import Question, Trajectory

Score = Verdict
"""``correct`` is what accuracy counts; ``values`` are further measures, such as F1."""


class Scorer(Plugin, Protocol):
    """Scores trajectories. It is called from several threads at once, never for a trajectory lost to infrastructure."""

    def score(self, question: Question, trajectory: Trajectory) -> Score:
        """The score of one sample.

        Raises:
            InfrastructureError: the scorer itself cannot work now.
        """
        ...


SCORERS: Registry[Scorer] = Registry("scorer", "mentor_evaluator.scorers", Scorer)
