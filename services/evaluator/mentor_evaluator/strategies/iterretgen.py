"""Iter-RetGen (arXiv 2305.15294): what was generated is the next query, beside the question."""

from __future__ import annotations

from mentor.errors import InfrastructureError
from mentor.inference import SamplingParams
from mentor.rollout import RolloutLimits
from mentor.rollout.loop import ToolRunner
from mentor.rollout.policy import Policy
from mentor.trajectory import Question, Trajectory
from mentor_evaluator.strategies._retrieval import Draft

ITERATIONS = 3


class _IterRetGen:
    name = "iterretgen"
    summary = "what was generated helps to look up again, three times"

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
            said = ""
            for _ in range(ITERATIONS):
                turn = await draft.generate(await draft.look_up(f"{question.question} {said}".strip()))
                if turn is None:
                    break
                said = turn.text
        except InfrastructureError as error:
            return draft.lost(error)
        return draft.trajectory()


PLUGIN = _IterRetGen()
