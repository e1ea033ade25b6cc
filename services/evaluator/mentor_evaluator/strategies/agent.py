"""The model calls tools as it likes: the agent loop that teacher and trainer run."""

from __future__ import annotations

from mentor.inference import SamplingParams
from mentor.rollout import RolloutLimits, rollout
from mentor.rollout.loop import ToolRunner
from mentor.rollout.policy import Policy
from mentor.trajectory import Question, Trajectory


class _Agent:
    name = "agent"
    summary = "the model calls the tools it is offered, turn by turn"

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
        return await rollout(question, policy, toolset, limits, sampling, sample=sample)


PLUGIN = _Agent()
