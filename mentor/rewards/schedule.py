"""Reward weights that change as training goes on."""

from __future__ import annotations

from pydantic import Field

from mentor.rewards.spec import RewardSpec, Weights
from mentor.trajectory import Frozen


class WeightSchedule(Frozen):
    """From the weights of ``spec`` at the first step in a straight line to ``last`` at step ``steps``, and on as those."""

    spec: RewardSpec
    last: Weights
    steps: int = Field(ge=2)

    def at(self, step: int) -> RewardSpec:
        """The reward of a step, counted from 1."""
        share = min(1.0, max(0, step - 1) / (self.steps - 1))
        first, last = self.spec.weights.model_dump(), self.last.model_dump()
        mixed = {name: (1 - share) * first[name] + share * last[name] for name in first}
        return self.spec.model_copy(update={"weights": Weights.model_validate(mixed)})
