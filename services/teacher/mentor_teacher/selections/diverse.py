"""Ways that differ: the shortest, then always the one that is farthest from all that stand before it. Ways that repeat another
come last."""

from __future__ import annotations

from collections.abc import Sequence

from mentor.trajectory import Trajectory
from mentor_teacher.selections._distance import distance, steps


class _Diverse:
    name = "diverse"
    summary = "fewest calls first, then always the way that is farthest from those before it"

    def rank(self, trajectories: Sequence[Trajectory]) -> list[Trajectory]:
        rest = sorted(trajectories, key=lambda t: (len(t.executed_calls), t.sample))
        ways = {id(t): steps(t) for t in rest}
        nearest = {id(t): 1.0 for t in rest}
        ranked: list[Trajectory] = []
        while rest:
            best = max(rest, key=lambda t: nearest[id(t)]) if ranked else rest[0]
            rest = [t for t in rest if t is not best]
            ranked.append(best)
            for t in rest:
                nearest[id(t)] = min(nearest[id(t)], distance(ways[id(best)], ways[id(t)]))
        return ranked


PLUGIN = _Diverse()
