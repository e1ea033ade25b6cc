"""Trajectories whose answer the judge found wrong."""

from __future__ import annotations

from collections.abc import Sequence

from mentor.rollout.solve import CORRECT
from mentor_teacher.filters import Candidate, Explained, FilterUse, Why


class _Wrong(Explained[FilterUse]):
    name = "wrong"
    summary = "drops what the judge found wrong"

    def drops(self, candidates: Sequence[Candidate], options: FilterUse) -> list[Why]:
        return [_why(candidate) for candidate in candidates]


def _why(candidate: Candidate) -> Why:
    # Without a ground truth no verdict means anything: ``agreement`` decides on those.
    if candidate.trajectory.metadata.get(CORRECT) or not candidate.question.answers:
        return None
    return f"answered {candidate.trajectory.answer!r:.60}, accepted {', '.join(candidate.question.answers)!r:.60}"


PLUGIN = _Wrong()
