"""The reward manager: scores the structured trajectory, never the decoded text.

verl's own managers hand a reward function the response as text, tool output and all, with the role markers stripped: a
result of a tool could earn the reward of an answer. This one reads the trace that the agent loop left beside the tokens.
"""

from __future__ import annotations

import asyncio
from typing import Any

from verl.experimental.reward_loop.reward_manager.base import RewardManagerBase

from mentor.analysis import executed_by_backend
from mentor.grading import make_judge
from mentor.rewards import RewardResult, WeightSchedule, load_preset, score
from mentor.tools.registry import ToolRegistry
from mentor.trajectory import Question, Termination, Trajectory
from mentor_trainer.verl_ext.runtime import runtime_of

TRACE = "trajectory"
STEP = "step"
BACKENDS = ("sandbox", "retriever")


class MentorRewardManager(RewardManagerBase):  # type: ignore[misc]
    """Total reward of one trajectory, and its components as extra information that verl logs and keeps.

    Judging has its own deadline (``mentor.grading`` runs it in worker processes that are killed at theirs), which verl
    does not put around a reward.
    """

    def __init__(
        self,
        config: Any,
        tokenizer: Any,
        compute_score: Any = None,
        reward_router_address: str | None = None,
        reward_model_tokenizer: Any = None,
    ) -> None:
        super().__init__(config, tokenizer, compute_score)
        runtime = runtime_of(config)
        spec, last = load_preset(runtime.reward), runtime.reward_weights_end
        self.schedule = WeightSchedule(spec=spec, last=last or spec.weights, steps=runtime.reward_anneal_steps or 2)
        self.judge = make_judge(runtime.judge)
        self.registry = ToolRegistry()  # a user's own tools travel with the questions

    async def run_single(self, data: Any) -> dict[str, Any]:
        item = data[-1:][0].non_tensor_batch
        question = Question.model_validate_json(str(item["question"]))
        fields = item["tool_extra_fields"]
        trajectory = Trajectory.model_validate_json(fields[TRACE])
        spec = self.schedule.at(int(fields.get(STEP, 1)))
        result = await asyncio.to_thread(
            score, trajectory, question.references, spec, self.judge, question.answers,
            self.registry.for_question(question),
        )  # fmt: skip
        return {"reward_score": result.total, "reward_extra_info": extra_info(trajectory, result)}


def extra_info(trajectory: Trajectory, result: RewardResult) -> dict[str, float]:
    """What is logged of one sample, all numbers. ``acc`` is the name under which verl reports validation accuracy.

    A sample that infrastructure ended carries only ``excluded``: it has no components to average.
    """
    if result.excluded:
        return {"excluded": 1.0}
    observations = trajectory.observations
    ran = executed_by_backend([trajectory])
    return {
        "excluded": 0.0,
        "total": result.total,
        "acc": result.components["correctness"],
        **result.components,
        "calls": float(len(observations)),
        "invalid_calls": float(sum(not o.ok for o in observations)),
        **{f"{backend}_calls": float(ran[backend]) for backend in BACKENDS},
        "used_tool": float(bool(trajectory.attempted_names)),
        "answered": float(trajectory.termination is Termination.ANSWERED and trajectory.answer is not None),
        "turns": float(len(trajectory.turns)),
    }
