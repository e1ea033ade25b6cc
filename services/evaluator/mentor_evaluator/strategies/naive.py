"""The model alone: one generation, no tools, nothing looked up."""

from __future__ import annotations

from mentor.errors import InfrastructureError
from mentor.inference import SamplingParams
from mentor.rollout import RolloutLimits
from mentor.rollout.loop import ToolRunner
from mentor.rollout.policy import Policy
from mentor.trajectory import Question, Trajectory
from mentor_evaluator.strategies._retrieval import Draft


class _Naive:
    name = "naive"
    summary = "one generation from what the model knows, nothing looked up"

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
        draft = Draft(question, policy, toolset, limits, sampling, sample)
        try:
            await draft.generate(())
        except InfrastructureError as error:
            return draft.lost(error)
        return draft.trajectory()


PLUGIN = _Naive()
