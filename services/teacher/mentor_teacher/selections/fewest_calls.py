"""The shortest way first: fewest executed calls, then first drawn."""

from __future__ import annotations

from collections.abc import Sequence

from mentor.trajectory import Trajectory


class _FewestCalls:
    name = "fewest_calls"
    summary = "fewest executed calls first, then first drawn"

    def rank(self, trajectories: Sequence[Trajectory]) -> list[Trajectory]:
        return sorted(trajectories, key=lambda t: (len(t.executed_calls), t.sample))


PLUGIN = _FewestCalls()
