"""Ask a model one small thing before a job spends anything: what can never work is found out here, not at each question."""

from __future__ import annotations

from collections.abc import Sequence

from mentor.errors import RequestRefusedError, UserError
from mentor.inference.base import SamplingParams
from mentor.rollout.loop import ToolRunner
from mentor.rollout.policy import Policy
from mentor.rollout.variants import PromptVariant
from mentor.trajectory import Question

_QUESTION = Question(id="probe", question="What is 1 + 1?")
_TOKENS = 16


async def probe(
    policy: Policy,
    toolset: ToolRunner,
    sampling: SamplingParams,
    timeout_s: float,
    first: Question = _QUESTION,
    prompts: Sequence[PromptVariant] = (),
) -> None:
    """Have a few tokens generated, with the system prompt, the tools and the sampling that the job will use for ``first``.

    Raises:
        UserError: the model would not see its tools, or the server refuses requests of this kind (tools that it does
            not take, a context that their descriptions fill, no token ids); later refusals then concern one request only.
        InfrastructureError: it cannot be reached.
    """
    asked = sampling.model_copy(update={"max_tokens": min(_TOKENS, sampling.max_tokens)})
    conversation = policy.start(_in_place_of(first, policy, prompts), toolset.specs)
    try:
        await conversation.next_turn(asked, request_id="probe", timeout_s=timeout_s)
    except RequestRefusedError as refused:
        raise UserError(
            f"the model server refuses even {_QUESTION.question!r} with these tools: {refused}", field="model"
        ) from refused


def _in_place_of(first: Question, policy: Policy, prompts: Sequence[PromptVariant]) -> Question:
    """The small thing, asked under what the first question is asked under: a system prompt may be what names the tools."""
    if first.messages is not None:
        under = (message for message in first.messages if message["role"] == "system")
        return _QUESTION.model_copy(update={"messages": (*under, {"role": "user", "content": _QUESTION.question})})
    return prompts[0].ask(_QUESTION, policy.system) if prompts else _QUESTION
