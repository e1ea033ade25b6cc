"""Strategies: one file each. A strategy says how one trajectory of a question is drawn.

``agent``, the project's agent loop, is the usual one; the others are the baselines that published QA evaluation compares it
with. Users' own come by the entry points of ``mentor.strategies``; ``strategy: NAME`` in an evaluation takes them.

What a strategy itself looks up is no call of the model: it stands in ``metadata.retrievals``, and enters no tool statistic.
"""

from __future__ import annotations

from typing import Annotated, Protocol

from pydantic import AfterValidator

from mentor.plugins import Plugin, Registry
from mentor.rollout.driver import Sampler


class Strategy(Plugin, Protocol):
    """Draws trajectories, of many questions at once.

    ``draw`` is a ``Sampler`` (``mentor.rollout.driver``): outages of ours end a trajectory as ``infrastructure``; it raises
    ``UserError`` where what it needs can never be had (no search tool among those of the question).
    """

    @property
    def draw(self) -> Sampler: ...


STRATEGIES: Registry[Strategy] = Registry(
    "strategy", "mentor_evaluator.strategies", Strategy, group="mentor.strategies"
)

StrategyName = Annotated[str, AfterValidator(STRATEGIES.check)]
"""Type of a spec's field that names a strategy."""
