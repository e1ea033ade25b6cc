"""Trajectories whose answer the judge found wrong."""

from __future__ import annotations

from collections.abc import Sequence

from mentor.rollout.solve import CORRECT
from mentor_teacher.filters import Candidate


class _Wrong:
    name = "wrong"
    summary = "drops what the judge found wrong"

    def keeps(self, candidates: Sequence[Candidate]) -> list[bool]:
        return [bool(candidate.trajectory.metadata.get(CORRECT)) for candidate in candidates]


PLUGIN = _Wrong()
