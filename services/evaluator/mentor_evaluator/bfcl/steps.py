"""A policy seen as BFCL sees a model: what ends a turn, and, in prompt mode, calls in text and results as a user's message."""

from __future__ import annotations

import ast
from collections.abc import Awaitable, Callable, Sequence

from mentor.chat.hermes import split_reasoning
from mentor.inference.base import SamplingParams
from mentor.rollout.policy import Conversation, Policy
from mentor.tools.spec import ToolSpec
from mentor.trajectory import Observation, Question, ToolCall, Turn
from mentor_evaluator.bfcl.categories import Mode

Decode = Callable[[str], Awaitable[list[str] | None]]


def spoken(turn: Turn) -> str:
    """What a turn says, without its reasoning."""
    return split_reasoning(turn.text)[1].strip()


class StepPolicy:
    """Wraps a policy for one user turn; ``said`` keeps the model's turns as they came.

    Args:
        decode: the official decoder of a step's text, in prompt mode.
    """

    def __init__(self, policy: Policy, bfcl_mode: Mode, decode: Decode | None = None) -> None:
        self.policy, self.bfcl_mode, self._decode = policy, bfcl_mode, decode
        self.mode, self.model, self.system = policy.mode, policy.model, policy.system
        self.said: list[Turn] = []

    def start(self, question: Question, tools: Sequence[ToolSpec]) -> Conversation:
        if self._decode is None:
            return _ToolConversation(self.policy.start(question, tools), self.said)
        return _TextConversation(self.policy, question, self._decode, self.said)


class _ToolConversation:
    """Function-calling mode. A turn with a call that cannot be read calls nothing: the next user turn follows."""

    def __init__(self, inner: Conversation, said: list[Turn]) -> None:
        self._inner, self._said = inner, said
        self.prompt_ids, self.context_limit = inner.prompt_ids, inner.context_limit

    async def next_turn(self, params: SamplingParams, *, request_id: str, timeout_s: float) -> tuple[Turn, str | None]:
        turn, answer = await self._inner.next_turn(params, request_id=request_id, timeout_s=timeout_s)
        self._said.append(turn)
        if any(call.error is not None for call in turn.tool_calls):
            turn = turn.model_copy(update={"tool_calls": ()})
        return turn, answer

    def render(self, turn: Turn, observations: Sequence[Observation]) -> tuple[int, ...]:
        return self._inner.render(turn, observations)

    def append(self, turn: Turn, observations: Sequence[Observation], observation_ids: Sequence[int]) -> None:
        self._inner.append(turn, observations, observation_ids)

    def used_tokens(self) -> int:
        return self._inner.used_tokens()

    def context_tokens(self) -> int:
        return self._inner.context_tokens()


class _TextConversation:
    """Prompt mode. Results come back as a user's message, so that every step opens the conversation anew."""

    def __init__(self, policy: Policy, question: Question, decode: Decode, said: list[Turn]) -> None:
        self._policy, self._question, self._decode, self._said = policy, question, decode, said
        self._inner = policy.start(question, ())
        self._spent = 0
        self.prompt_ids, self.context_limit = self._inner.prompt_ids, self._inner.context_limit

    async def next_turn(self, params: SamplingParams, *, request_id: str, timeout_s: float) -> tuple[Turn, str | None]:
        turn, answer = await self._inner.next_turn(params, request_id=request_id, timeout_s=timeout_s)
        sources = await self._decode(spoken(turn)) if turn.finish_reason == "stop" else None
        turn = turn.model_copy(update={"tool_calls": tuple(map(_call, sources or ()))})
        self._said.append(turn)
        return turn, answer

    def render(self, turn: Turn, observations: Sequence[Observation]) -> tuple[int, ...]:
        return ()

    def append(self, turn: Turn, observations: Sequence[Observation], observation_ids: Sequence[int]) -> None:
        self._spent += max(self._inner.used_tokens(), len(turn.token_ids or ()))
        more = text_exchange(turn, observations)
        messages = (*(self._question.messages or ()), *more)
        self._question = self._question.model_copy(update={"messages": messages})
        self._inner = self._policy.start(self._question, ())

    def used_tokens(self) -> int:
        return self._spent + self._inner.used_tokens()

    def context_tokens(self) -> int:
        return self._inner.context_tokens()


def text_exchange(turn: Turn, observations: Sequence[Observation]) -> list[dict[str, str]]:
    """A step and its results as messages of prompt mode, in the official form."""
    results = [
        {"role": "tool", "name": call.raw, "content": seen.content}
        for call, seen in zip(turn.tool_calls, observations, strict=True)
    ]
    return [{"role": "assistant", "content": spoken(turn)}, {"role": "user", "content": repr(results)}]


def _call(source: str) -> ToolCall:
    """A call in source text, for statistics: what cannot be read as literals is left out of its arguments."""
    name = source.split("(", 1)[0]
    try:
        node = ast.parse(source, mode="eval").body
        keywords = node.keywords if isinstance(node, ast.Call) else []
        arguments = {keyword.arg or "": ast.literal_eval(keyword.value) for keyword in keywords}
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        arguments = {}
    return ToolCall(name=name, arguments=arguments, raw=source)
