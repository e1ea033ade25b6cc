"""Retrieve, then read: passages for the question, then one generation."""

from __future__ import annotations

from mentor.errors import InfrastructureError
from mentor.inference import SamplingParams
from mentor.rollout import RolloutLimits
from mentor.rollout.loop import ToolRunner
from mentor.rollout.policy import Policy
from mentor.trajectory import Question, Trajectory
from mentor_evaluator.strategies._retrieval import Draft


class _ZeroShot:
    name = "zero-shot"
    summary = "passages for the question are shown, then one generation"

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
            await draft.generate(await draft.look_up(question.question))
        except InfrastructureError as error:
            return draft.lost(error)
        return draft.trajectory()


PLUGIN = _ZeroShot()
