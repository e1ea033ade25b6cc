"""Chat mode: messages in, one message out, for black-box teachers and servers without a token interface.

Tokens are counted by the server's ``usage``; what it has not counted yet (observations since its last answer, everything
where it sends no usage) is estimated from the length of the text, rather too high than too low.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from mentor.chat import parse_turn
from mentor.chat.hermes import MALFORMED
from mentor.errors import ContextLengthError
from mentor.inference.base import ChatClient, ChatCompletion, SamplingParams
from mentor.rollout.policy import Enter
from mentor.rollout.prompts import opening_messages
from mentor.tools.spec import ToolSpec
from mentor.trajectory import Observation, Question, Turn

_BYTES_PER_TOKEN = 3


class ChatPolicy:
    """A model behind /v1/chat/completions."""

    mode = "chat"

    def __init__(
        self,
        client: ChatClient,
        model: str | None = None,
        system: str | None = None,
        context_limit: int | None = None,
        send_reasoning: bool = False,
        enter: Enter | None = None,
    ) -> None:
        self.client = client
        self.send_reasoning = send_reasoning
        self.enter = enter
        self.model = model
        self.system = system
        self.context_limit = context_limit

    def start(self, question: Question, tools: Sequence[ToolSpec]) -> ChatConversation:
        opening = opening_messages(question, self.system)
        return ChatConversation(self.client, opening, tools, self.context_limit, self.send_reasoning)


class ChatConversation:
    """OpenAI messages so far."""

    prompt_ids: tuple[int, ...] | None = None

    def __init__(
        self,
        client: ChatClient,
        messages: list[dict[str, Any]],
        tools: Sequence[ToolSpec],
        context_limit: int | None = None,
        send_reasoning: bool = False,
    ) -> None:
        self.client = client
        self.send_reasoning = send_reasoning
        self.messages = messages
        self.tools = [tool.openai() for tool in tools]
        self.context_limit = context_limit
        self._prompt = self._context = 0

    async def next_turn(self, params: SamplingParams, *, request_id: str, timeout_s: float) -> tuple[Turn, str | None]:
        reply = await self._ask(params, request_id, timeout_s)
        self._count(reply)
        # A server without a tool-call parser leaves the calls in the text: read them there.
        parsed = parse_turn(reply.content)
        turn = Turn(
            text=reply.content,
            tool_calls=reply.tool_calls or parsed.tool_calls,
            reasoning=reply.reasoning or parsed.reasoning,
            token_ids=reply.token_ids,
            logprobs=reply.logprobs,
            finish_reason=reply.finish_reason,
            prompt_tokens=reply.prompt_tokens,
            generated_tokens=reply.completion_tokens,
        )
        return turn, parsed.answer

    async def _ask(self, params: SamplingParams, request_id: str, timeout_s: float) -> ChatCompletion:
        """Ask for at most ``max_tokens``, or for what the context has left where that is less.

        The tokens of a first prompt are not known before the server has seen it. A server that refuses the sum of prompt
        and ``max_tokens`` is asked again without the latter: what is left is then less than what was asked for.
        """
        fill = self.context_limit is not None and self._context + params.max_tokens >= self.context_limit
        try:
            return await self.client.chat(
                self.messages, self.tools, params, request_id=request_id, timeout_s=timeout_s, fill_context=fill
            )
        except ContextLengthError:
            if fill:
                raise
        return await self.client.chat(
            self.messages, self.tools, params, request_id=request_id, timeout_s=timeout_s, fill_context=True
        )

    def _count(self, reply: ChatCompletion) -> None:
        if reply.prompt_tokens is None:
            before = self._context or _estimate(json.dumps([self.messages, self.tools]))
        else:
            before = reply.prompt_tokens
        said = reply.completion_tokens
        self._prompt = self._prompt or before
        self._context = before + (_estimate(f"{reply.reasoning or ''}{reply.content}") if said is None else said)

    def render(self, turn: Turn, observations: Sequence[Observation]) -> tuple[int, ...]:
        return ()

    def append(self, turn: Turn, observations: Sequence[Observation], observation_ids: Sequence[int]) -> None:
        message = assistant_message(turn)
        if self.send_reasoning and turn.reasoning:
            message["reasoning_content"] = turn.reasoning
        self.messages = [*self.messages, message]
        for call, seen in zip(turn.tool_calls, observations, strict=True):
            self.messages.append({"role": "tool", "tool_call_id": call.id, "name": seen.name, "content": seen.content})
        self._context += sum(_estimate(seen.content) for seen in observations)

    def used_tokens(self) -> int:
        return max(0, self._context - self._prompt)

    def context_tokens(self) -> int:
        return self._context


def assistant_message(turn: Turn) -> dict[str, Any]:
    """A turn as an OpenAI message. Malformed calls keep their text, under the name the model gave or ``malformed_call``."""
    message: dict[str, Any] = {"role": "assistant", "content": turn.text}
    if turn.tool_calls:
        message["content"] = parse_turn(turn.text).content
        message["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {
                    "name": call.name or MALFORMED,
                    "arguments": json.dumps(call.arguments if call.error is None else {"text": call.raw}),
                },
            }
            for call in turn.tool_calls
        ]
    return message


def _estimate(text: str) -> int:
    return len(text.encode(errors="replace")) // _BYTES_PER_TOKEN + 1
