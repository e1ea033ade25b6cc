"""The tools that most of the right ways use, first: an eccentric way serves a student less."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from mentor.trajectory import Trajectory


class _CommonTools:
    name = "common_tools"
    summary = "most common set of tools first, then fewest calls"

    def rank(self, trajectories: Sequence[Trajectory]) -> list[Trajectory]:
        counts = Counter(_tools(t) for t in trajectories)
        return sorted(trajectories, key=lambda t: (-counts[_tools(t)], len(t.executed_calls), t.sample))


def _tools(trajectory: Trajectory) -> frozenset[str]:
    return frozenset(call.name for call in trajectory.executed_calls)


PLUGIN = _CommonTools()
