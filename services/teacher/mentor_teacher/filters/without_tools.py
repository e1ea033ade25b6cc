"""Trajectories in which no tool ran."""

from __future__ import annotations

from collections.abc import Sequence

from mentor_teacher.filters import Candidate


class _WithoutTools:
    name = "without_tools"
    summary = "drops what answered without running a tool"

    def keeps(self, candidates: Sequence[Candidate]) -> list[bool]:
        return [bool(candidate.trajectory.executed_calls) for candidate in candidates]


PLUGIN = _WithoutTools()
