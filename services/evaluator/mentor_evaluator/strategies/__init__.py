"""Strategies: one file each. A strategy says how one trajectory of a question is drawn.

``agent``, the project's agent loop, is the usual one; the others are the baselines that published QA evaluation compares it
with. Users' own come by the entry points of ``mentor.strategies``; ``strategy: NAME`` in an evaluation takes them.

What a strategy itself looks up is no call of the model: it stands in ``metadata.retrievals``, and enters no tool statistic.
"""

from __future__ import annotations

from typing import Annotated, Protocol

from pydantic import AfterValidator

from mentor.inference import SamplingParams
from mentor.plugins import Plugin, Registry
from mentor.rollout import RolloutLimits
from mentor.rollout.loop import ToolRunner
from mentor.rollout.policy import Policy
from mentor.trajectory import Question, Trajectory


class Strategy(Plugin, Protocol):
    """Draws trajectories; called for many questions at once."""

    async def draw(
        self,
        question: Question,
        policy: Policy,
        toolset: ToolRunner,
        limits: RolloutLimits,
        sampling: SamplingParams,
        *,
        sample: int = 0,
    ) -> Trajectory:
        """One trajectory; outages of ours end it as ``infrastructure``.

        Raises:
            UserError: what it needs can never be had (no search tool among those of the question).
        """
        ...


STRATEGIES: Registry[Strategy] = Registry(
    "strategy", "mentor_evaluator.strategies", Strategy, group="mentor.strategies"
)

StrategyName = Annotated[str, AfterValidator(STRATEGIES.check)]
"""Type of a spec's field that names a strategy."""
