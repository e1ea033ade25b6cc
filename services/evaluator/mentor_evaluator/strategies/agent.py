"""The model calls tools as it likes: the agent loop that teacher and trainer run."""

from __future__ import annotations

from mentor.rollout import rollout


class _Agent:
    name = "agent"
    summary = "the model calls the tools it is offered, turn by turn"
    draw = staticmethod(rollout)


PLUGIN = _Agent()
