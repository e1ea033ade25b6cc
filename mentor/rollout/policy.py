"""Policies: how a model is asked for its next turn.

``TokenPolicy`` keeps ids and only appends to them; ``ChatPolicy`` keeps messages and leaves rendering to the server.
The agent loop sees one interface, ``Conversation``, and never knows which it has.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Protocol

from mentor.chat import ChatFormat, parse_turn
from mentor.chat.hermes import MALFORMED
from mentor.inference.base import ChatClient, SamplingParams, TokenClient
from mentor.rollout.prompts import user_messages
from mentor.tools.spec import ToolSpec
from mentor.trajectory import Observation, Question, Turn


class Conversation(Protocol):
    """One growing conversation with a model."""

    prompt_ids: tuple[int, ...] | None

    async def next_turn(self, params: SamplingParams, *, request_id: str, timeout_s: float) -> tuple[Turn, str | None]:
        """The model's next turn (no observations yet) and the boxed answer in it, if any."""
        ...

    def render(self, turn: Turn, observations: Sequence[Observation]) -> tuple[int, ...]:
        """Ids that the observations would take; empty in chat mode."""
        ...

    def append(self, turn: Turn, observations: Sequence[Observation], observation_ids: Sequence[int]) -> None:
        """Make the turn and its observations part of the context."""
        ...

    def used_tokens(self) -> int:
        """Tokens after the prompt so far; 0 where the server does not tell."""
        ...


class Policy(Protocol):
    """A model that can be asked."""

    mode: str
    model: str | None

    def start(self, question: Question, tools: Sequence[ToolSpec]) -> Conversation:
        """Open a conversation on a question."""
        ...


class TokenPolicy:
    """Token ids in, token ids out."""

    mode = "token"

    def __init__(
        self, client: TokenClient, chat_format: ChatFormat, model: str | None = None, system: str | None = None
    ) -> None:
        self.client = client
        self.chat_format = chat_format
        self.model = model
        self.system = system

    def start(self, question: Question, tools: Sequence[ToolSpec]) -> TokenConversation:
        messages = user_messages(question.question, self.system)
        prompt = self.chat_format.render_prompt(messages, [tool.openai() for tool in tools])
        return TokenConversation(self.client, self.chat_format, prompt)


class TokenConversation:
    """Prompt ids plus everything generated and observed since."""

    def __init__(self, client: TokenClient, chat_format: ChatFormat, prompt: list[int]) -> None:
        self.client = client
        self.chat_format = chat_format
        self.prompt_ids: tuple[int, ...] | None = tuple(prompt)
        self.ids = list(prompt)

    async def next_turn(self, params: SamplingParams, *, request_id: str, timeout_s: float) -> tuple[Turn, str | None]:
        stops = self.chat_format.stop_token_ids
        params = params.model_copy(update={"stop_token_ids": stops})
        generation = await self.client.generate(self.ids, params, request_id=request_id, timeout_s=timeout_s)
        ids = generation.token_ids
        finish = "stop" if ids and ids[-1] in stops else generation.finish_reason
        if finish == "stop" and not (ids and ids[-1] in stops):
            finish = "length"  # a server that stopped without an end-of-turn token has cut the turn short
        parsed = self.chat_format.parse(ids)
        turn = Turn(
            text=parsed.text,
            tool_calls=parsed.tool_calls,
            reasoning=parsed.reasoning,
            token_ids=ids,
            logprobs=generation.logprobs,
            finish_reason=finish,
        )
        return turn, parsed.answer

    def render(self, turn: Turn, observations: Sequence[Observation]) -> tuple[int, ...]:
        return tuple(self.chat_format.render_observations(turn.tool_calls, observations))

    def append(self, turn: Turn, observations: Sequence[Observation], observation_ids: Sequence[int]) -> None:
        self.ids += turn.token_ids or ()
        self.ids += observation_ids

    def used_tokens(self) -> int:
        return len(self.ids) - len(self.prompt_ids or ())


class ChatPolicy:
    """Messages in, one message out: for black-box teachers and servers without a token interface."""

    mode = "chat"

    def __init__(self, client: ChatClient, model: str | None = None, system: str | None = None) -> None:
        self.client = client
        self.model = model
        self.system = system

    def start(self, question: Question, tools: Sequence[ToolSpec]) -> ChatConversation:
        return ChatConversation(self.client, user_messages(question.question, self.system), tools)


class ChatConversation:
    """OpenAI messages so far."""

    prompt_ids: tuple[int, ...] | None = None

    def __init__(self, client: ChatClient, messages: list[dict[str, Any]], tools: Sequence[ToolSpec]) -> None:
        self.client = client
        self.messages = messages
        self.tools = [tool.openai() for tool in tools]

    async def next_turn(self, params: SamplingParams, *, request_id: str, timeout_s: float) -> tuple[Turn, str | None]:
        reply = await self.client.chat(self.messages, self.tools, params, request_id=request_id, timeout_s=timeout_s)
        # A server without a tool-call parser leaves the calls in the text: read them there.
        parsed = parse_turn(reply.content)
        turn = Turn(
            text=reply.content,
            tool_calls=reply.tool_calls or parsed.tool_calls,
            reasoning=reply.reasoning or parsed.reasoning,
            token_ids=reply.token_ids,
            logprobs=reply.logprobs,
            finish_reason=reply.finish_reason,
        )
        return turn, parsed.answer

    def render(self, turn: Turn, observations: Sequence[Observation]) -> tuple[int, ...]:
        return ()

    def append(self, turn: Turn, observations: Sequence[Observation], observation_ids: Sequence[int]) -> None:
        self.messages = [*self.messages, assistant_message(turn)]
        for call, seen in zip(turn.tool_calls, observations, strict=True):
            self.messages.append({"role": "tool", "tool_call_id": call.id, "name": seen.name, "content": seen.content})

    def used_tokens(self) -> int:
        return 0


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
