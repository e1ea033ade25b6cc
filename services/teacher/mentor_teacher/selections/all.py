"""Every right trajectory, in the order in which they were drawn."""

from __future__ import annotations

from collections.abc import Sequence

from mentor.trajectory import Trajectory


class _All:
    name = "all"
    summary = "all of them as drawn, whatever max_references says"
    unlimited = True

    def rank(self, trajectories: Sequence[Trajectory]) -> list[Trajectory]:
        return sorted(trajectories, key=lambda t: t.sample)


PLUGIN = _All()
