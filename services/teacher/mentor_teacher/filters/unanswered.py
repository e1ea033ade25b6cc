"""Trajectories that did not end by answering."""

from __future__ import annotations

from collections.abc import Sequence

from mentor.trajectory import Termination, Trajectory
from mentor_teacher.filters import Candidate, Explained, FilterUse, Why


class _Unanswered(Explained[FilterUse]):
    name = "unanswered"
    summary = "drops what did not end by answering"

    def drops(self, candidates: Sequence[Candidate], options: FilterUse) -> list[Why]:
        return [_why(candidate.trajectory) for candidate in candidates]


def _why(trajectory: Trajectory) -> Why:
    if trajectory.termination is not Termination.ANSWERED:
        return f"ended by {trajectory.termination}"
    return None if trajectory.answer is not None else "ended without a boxed answer"


PLUGIN = _Unanswered()
