"""Trajectories that did not end by answering."""

from __future__ import annotations

from collections.abc import Sequence

from mentor.trajectory import Termination
from mentor_teacher.filters import Candidate


class _Unanswered:
    name = "unanswered"
    summary = "drops what did not end by answering"

    def keeps(self, candidates: Sequence[Candidate]) -> list[bool]:
        ends = (candidate.trajectory for candidate in candidates)
        return [t.termination is Termination.ANSWERED and t.answer is not None for t in ends]


PLUGIN = _Unanswered()
