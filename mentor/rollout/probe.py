"""Ask a model one small thing before a job spends anything: what can never work is found out here, not at each question."""

from __future__ import annotations

from mentor.errors import RequestRefusedError, UserError
from mentor.inference.base import SamplingParams
from mentor.rollout.loop import ToolRunner
from mentor.rollout.policy import Policy
from mentor.trajectory import Question

_QUESTION = Question(id="probe", question="What is 1 + 1?")
_TOKENS = 16


async def probe(policy: Policy, toolset: ToolRunner, sampling: SamplingParams, timeout_s: float) -> None:
    """Have a few tokens generated, with the tools and the sampling that the job will use.

    Raises:
        UserError: the server refuses requests of this kind (tools that it does not take, a context that their
            descriptions fill, no token ids); later refusals then concern one request only.
        InfrastructureError: it cannot be reached.
    """
    asked = sampling.model_copy(update={"max_tokens": min(_TOKENS, sampling.max_tokens)})
    conversation = policy.start(_QUESTION, toolset.specs)
    try:
        await conversation.next_turn(asked, request_id="probe", timeout_s=timeout_s)
    except RequestRefusedError as refused:
        raise UserError(
            f"the model server refuses even {_QUESTION.question!r} with these tools: {refused}", field="model"
        ) from refused
