"""Policies: how a model is asked for its next turn.

``TokenPolicy`` keeps ids and only appends to them; ``ChatPolicy`` (``chat_policy``) keeps messages and leaves rendering to
the server. The agent loop sees one interface, ``Conversation``, and never knows which it has.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, runtime_checkable

from mentor.chat import ChatFormat
from mentor.inference.base import SamplingParams, TokenClient
from mentor.rollout.prompts import opening_messages, with_parsed_arguments
from mentor.tools.spec import ToolSpec
from mentor.trajectory import Observation, Question, Turn


class Conversation(Protocol):
    """One growing conversation with a model."""

    prompt_ids: tuple[int, ...] | None
    context_limit: int | None
    """Tokens that the model's context holds, None where its server does not tell."""

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
        """Tokens after the prompt so far; in chat mode by the server's count, what it has not yet counted estimated."""
        ...

    def context_tokens(self) -> int:
        """Tokens of the prompt and what followed; 0 in chat mode before the first answer."""
        ...


class Entered(Protocol):
    """A trajectory that has been let in."""

    def leave(self) -> None:
        """It has ended."""
        ...


Enter = Callable[[], Awaitable[Entered]]
"""Waits until the model's endpoints have room for a trajectory more."""


@runtime_checkable
class Admitting(Protocol):
    """A policy whose endpoints say when there is room; ``enter`` is None where whoever asks decides that."""

    enter: Enter | None


class Policy(Protocol):
    """A model that can be asked."""

    mode: str
    model: str | None
    system: str | None

    def start(self, question: Question, tools: Sequence[ToolSpec]) -> Conversation:
        """Open a conversation on a question."""
        ...


class TokenPolicy:
    """Token ids in, token ids out."""

    mode = "token"

    def __init__(
        self,
        client: TokenClient,
        chat_format: ChatFormat,
        model: str | None = None,
        system: str | None = None,
        context_limit: int | None = None,
        enter: Enter | None = None,
    ) -> None:
        self.client = client
        self.enter = enter
        self.chat_format = chat_format
        self.model = model
        self.system = system
        self.context_limit = context_limit

    def start(self, question: Question, tools: Sequence[ToolSpec]) -> TokenConversation:
        messages = with_parsed_arguments(opening_messages(question, self.system))
        prompt = self.chat_format.render_prompt(messages, [tool.openai() for tool in tools])
        return TokenConversation(self.client, self.chat_format, prompt, self.context_limit)


class TokenConversation:
    """Prompt ids plus everything generated and observed since."""

    def __init__(
        self, client: TokenClient, chat_format: ChatFormat, prompt: list[int], context_limit: int | None = None
    ) -> None:
        self.client = client
        self.context_limit = context_limit
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

    def context_tokens(self) -> int:
        return len(self.ids)
