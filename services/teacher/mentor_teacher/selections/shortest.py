"""The fewest words first: what the model wrote, thoughts included."""

from __future__ import annotations

from collections.abc import Sequence

from mentor.trajectory import Trajectory


class _Shortest:
    name = "shortest"
    summary = "shortest text first, reasoning included"

    def rank(self, trajectories: Sequence[Trajectory]) -> list[Trajectory]:
        return sorted(trajectories, key=lambda t: (_length(t), t.sample))


def _length(trajectory: Trajectory) -> int:
    """Tokens where the server gave them, else characters, which are more: never mixed within a question but by a mixed
    input.
    """
    turns = trajectory.turns
    if turns and all(turn.token_ids is not None for turn in turns):
        return sum(len(turn.token_ids or ()) for turn in turns)
    return sum(len(turn.text) + len(turn.reasoning or "") for turn in turns)


PLUGIN = _Shortest()
