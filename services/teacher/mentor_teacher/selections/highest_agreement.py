"""The way that is nearest to the other right ways, first."""

from __future__ import annotations

from collections.abc import Sequence

from mentor.trajectory import Trajectory
from mentor_teacher.selections._distance import distance, steps


class _HighestAgreement:
    name = "highest_agreement"
    summary = "the way whose calls are nearest to those of the other right ways first"

    def rank(self, trajectories: Sequence[Trajectory]) -> list[Trajectory]:
        ways = [steps(t) for t in trajectories]
        apart = [round(sum(distance(one, other) for other in ways), 9) for one in ways]
        order = sorted(range(len(ways)), key=lambda n: (apart[n], len(ways[n]), trajectories[n].sample))
        return [trajectories[n] for n in order]


PLUGIN = _HighestAgreement()
