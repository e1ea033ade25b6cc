"""The agent loop: one implementation for teacher, trainer and evaluator.

A trajectory waits for nothing but its own model turns and tool calls; the calls of one turn run together. What goes
wrong is recorded, not raised: the model's and the tools' failures become observations, ours end the trajectory as
``infrastructure``, to be retried or set aside. What a model server refuses of one request ends that trajectory (``length``
or ``refused``). Only another ``UserError`` (a configuration that can never work) escapes.
"""

from __future__ import annotations

import asyncio
import time
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from mentor.chat.hermes import MALFORMED
from mentor.errors import ContextLengthError, InfrastructureError, RequestRefusedError
from mentor.inference.base import SamplingParams
from mentor.rollout.limits import RolloutLimits
from mentor.rollout.policy import Conversation, Policy
from mentor.tools.spec import ToolSpec
from mentor.trajectory import Observation, Question, Termination, ToolCall, Trajectory, Turn

_MODELS_FAULT = frozenset({MALFORMED, "unknown_tool", "invalid_arguments", "too_many_calls"})


class ToolRunner(Protocol):
    """What runs calls. ``mentor.tools.executor.Toolset`` is the real one."""

    @property
    def specs(self) -> Sequence[ToolSpec]:
        """The tools offered, in the order in which the prompt shows them."""
        ...

    async def run(self, call: ToolCall) -> Observation:
        """Run one call.

        Raises:
            InfrastructureError: the tool could not be reached in time. Every other failure is an observation.
        """
        ...


@dataclass
class _State:
    turns: list[Turn] = field(default_factory=list)
    answer: str | None = None
    invalid_in_a_row: int = 0


async def rollout(
    question: Question,
    policy: Policy,
    toolset: ToolRunner,
    limits: RolloutLimits,
    sampling: SamplingParams,
    *,
    sample: int = 0,
    request_id: str | None = None,
) -> Trajectory:
    """Sample one trajectory.

    Args:
        question: the problem; its answers and references are not shown to the model.
        policy: the model.
        toolset: the tools offered, and what runs them.
        limits: bounds on turns, tokens, calls and seconds.
        sampling: temperature and so on; ``seed`` is spread over questions, samples and turns.
        sample: index of this sample among those of the question.

    Returns:
        A trajectory; ``termination`` is ``infrastructure`` if an outage or a time-out of ours cut it short.

    Raises:
        UserError: the server refuses requests of this kind, whatever they hold (unknown model, refused key).
    """
    started = time.monotonic()
    state, error = _State(), None
    conversation = policy.start(question, toolset.specs)
    name = request_id or f"{question.id}-{sample}"
    try:
        async with asyncio.timeout(limits.trajectory_timeout_s):
            termination = await _converse(conversation, toolset, limits, sampling, state, name)
    except ContextLengthError as refused:
        termination, error = Termination.LENGTH, str(refused)
    except RequestRefusedError as refused:
        termination, error = Termination.REFUSED, str(refused)
    except InfrastructureError as failure:
        termination, error = Termination.INFRASTRUCTURE, failure.message
    except TimeoutError:
        termination = Termination.INFRASTRUCTURE
        error = f"the trajectory took longer than {limits.trajectory_timeout_s:g} s"
    return Trajectory(
        question_id=question.id,
        question=question.question,
        turns=tuple(state.turns),
        termination=termination,
        answer=state.answer if termination is Termination.ANSWERED else None,
        sample=sample,
        prompt_ids=conversation.prompt_ids,
        model=policy.model,
        mode=policy.mode,
        error=error,
        duration_s=time.monotonic() - started,
    )


async def _converse(
    conversation: Conversation,
    toolset: ToolRunner,
    limits: RolloutLimits,
    sampling: SamplingParams,
    state: _State,
    name: str,
) -> Termination:
    for index in range(limits.max_turns):
        budget = _budget(conversation, limits)
        if budget <= 0:
            return Termination.LENGTH
        params = sampling.model_copy(
            update={"max_tokens": min(budget, sampling.max_tokens), "seed": _turn_seed(sampling.seed, name, index)}
        )
        asked = time.monotonic()
        turn, answer = await conversation.next_turn(
            params, request_id=f"{name}-{index}", timeout_s=limits.turn_timeout_s
        )
        turn = turn.model_copy(update={"duration_s": time.monotonic() - asked})
        if turn.finish_reason == "abort":
            raise InfrastructureError("the model server aborted the generation")
        if turn.finish_reason != "stop":
            state.turns.append(turn.model_copy(update={"tool_calls": ()}))  # a cut-off turn calls nothing
            return Termination.LENGTH
        if not turn.tool_calls:
            state.turns.append(turn)
            state.answer = answer
            return Termination.ANSWERED
        calls = tuple(c.model_copy(update={"id": f"turn_{index}_{n}"}) for n, c in enumerate(turn.tool_calls))
        ended = await _act(conversation, toolset, limits, turn.model_copy(update={"tool_calls": calls}), state)
        if ended is not None:
            return ended
    return Termination.MAX_TURNS


async def _act(
    conversation: Conversation, toolset: ToolRunner, limits: RolloutLimits, turn: Turn, state: _State
) -> Termination | None:
    """Run a turn's calls together and append what came back. Returns a termination if the trajectory ends here."""
    observations = tuple(await _run_calls(turn.tool_calls, toolset, limits))
    ids = conversation.render(turn, observations)
    used = conversation.used_tokens() + len(turn.token_ids or ())
    fits = used + len(ids) < limits.max_response_tokens
    state.turns.append(turn.model_copy(update={"observations": observations, "observation_ids": ids if fits else ()}))
    if not fits:
        return Termination.LENGTH
    conversation.append(turn, observations, ids)
    invalid = all(o.error_type in _MODELS_FAULT for o in observations)
    state.invalid_in_a_row = state.invalid_in_a_row + 1 if invalid else 0
    if limits.max_consecutive_invalid is not None and state.invalid_in_a_row >= limits.max_consecutive_invalid:
        return Termination.INVALID_LIMIT
    return None


async def _run_calls(calls: Sequence[ToolCall], toolset: ToolRunner, limits: RolloutLimits) -> list[Observation]:
    """Observations in the order of the calls; an outage in any of them loses the trajectory."""
    running = (_run_call(call, position, toolset, limits) for position, call in enumerate(calls))
    return list(await asyncio.gather(*running))


async def _run_call(call: ToolCall, position: int, toolset: ToolRunner, limits: RolloutLimits) -> Observation:
    if call.error is not None:
        return _refused(call, MALFORMED, f"Error: malformed tool call: {call.error.removeprefix(f'{MALFORMED}: ')}")
    if position >= limits.max_calls_per_turn:
        return _refused(call, "too_many_calls", f"Error: more than {limits.max_calls_per_turn} calls in one turn")
    observation = await toolset.run(call)
    content = observation.content
    if len(content) > limits.max_observation_chars:
        cut = len(content) - limits.max_observation_chars
        content = f"{content[: limits.max_observation_chars]}\n[{cut} characters cut]"
    return observation.model_copy(update={"content": content, "call_id": call.id})


def _refused(call: ToolCall, error_type: str, content: str) -> Observation:
    return Observation(
        name=call.name, content=content, ok=False, executed=False, call_id=call.id, error_type=error_type
    )


def _budget(conversation: Conversation, limits: RolloutLimits) -> int:
    """Tokens that the next turn may take."""
    used = conversation.used_tokens()
    budgets = [limits.max_response_tokens - used]
    if limits.max_turn_tokens is not None:
        budgets.append(limits.max_turn_tokens)
    contexts = [limit for limit in (limits.max_context_tokens, conversation.context_limit) if limit is not None]
    if contexts:
        budgets.append(min(contexts) - conversation.context_tokens())
    return min(budgets)


def _turn_seed(seed: int | None, name: str, index: int) -> int | None:
    """A seed of its own for every turn, the same on every run and machine."""
    return None if seed is None else zlib.crc32(f"{seed}/{name}/{index}".encode()) & 0x7FFFFFFF
