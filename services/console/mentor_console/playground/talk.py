"""One answer of a model, told as it happens: the library's agent loop with ears on its conversation and its tools."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from pydantic import Field

from mentor.errors import MentorError, UserError
from mentor.inference import OpenAIChatClient, OpenAIServer, SamplingParams
from mentor.rollout.chat_policy import ChatPolicy
from mentor.rollout.connect import ModelSource, endpoints
from mentor.rollout.limits import RolloutLimits
from mentor.rollout.loop import ToolRunner, rollout
from mentor.rollout.policy import Conversation, Policy
from mentor.tools.spec import ToolSpec
from mentor.trajectory import Frozen, Observation, Question, ToolCall, Turn
from mentor_console.playground.streamed import Streamed

_PATIENCE_S = 600.0
_CHECK_S = 10.0
"""For a model server to say that it is there: somebody sits and waits."""


class Said(Frozen):
    """A message of the conversation so far."""

    role: str = Field(pattern="^(user|assistant)$")
    content: str = Field(max_length=200_000)


class Talk(Frozen):
    """What is asked. ``earlier``: what was said before, without calls and observations."""

    model: str
    text: str = Field(min_length=1, max_length=200_000)
    system: str = Field(default="", max_length=50_000)
    earlier: tuple[Said, ...] = Field(default=(), max_length=200)
    tools: tuple[str, ...] = Field(default=(), max_length=64)
    source: str = Field(default="", max_length=200_000)
    temperature: float = Field(default=0.6, ge=0, le=5)
    max_tokens: int = Field(default=1024, ge=1, le=65_536)
    max_turns: int = Field(default=8, ge=1, le=64)

    @property
    def question(self) -> Question:
        """As the agent loop takes it: the first message in the prompt of all trajectories, later ones as they are."""
        if not self.earlier:
            return Question(id="playground", question=self.text)
        opening = [{"role": "system", "content": self.system}] if self.system else []
        spoken = [said.model_dump() for said in self.earlier] + [{"role": "user", "content": self.text}]
        return Question(id="playground", question=self.text, messages=(*opening, *spoken))


class _Heard:
    """A conversation that tells its turns."""

    def __init__(self, inner: Conversation, tell: asyncio.Queue[tuple[str, Any] | None]) -> None:
        self._inner, self._tell = inner, tell

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def next_turn(self, params: SamplingParams, *, request_id: str, timeout_s: float) -> tuple[Turn, str | None]:
        self._tell.put_nowait(("asked", {}))
        turn, answer = await self._inner.next_turn(params, request_id=request_id, timeout_s=timeout_s)
        told = turn.model_dump(
            mode="json", include={"text", "reasoning", "tool_calls", "finish_reason", "generated_tokens"}
        )
        self._tell.put_nowait(("turn", told))
        return turn, answer


class _Asked:
    """A policy whose conversations are heard."""

    def __init__(self, inner: Policy, tell: asyncio.Queue[tuple[str, Any] | None]) -> None:
        self._inner, self._tell = inner, tell
        self.model, self.mode, self.system = inner.model, inner.mode, inner.system

    def start(self, question: Question, tools: Sequence[ToolSpec]) -> Any:
        return _Heard(self._inner.start(question, tools), self._tell)


class _Run:
    """Tools whose observations are heard."""

    def __init__(self, inner: ToolRunner, tell: asyncio.Queue[tuple[str, Any] | None]) -> None:
        self._inner, self._tell = inner, tell

    @property
    def specs(self) -> Sequence[ToolSpec]:
        return self._inner.specs

    async def run(self, call: ToolCall) -> Observation:
        seen = await self._inner.run(call)
        told = seen.model_dump(mode="json", include={"name", "content", "ok", "executed", "error_type", "duration_ms"})
        self._tell.put_nowait(("observation", {"id": call.id, **told}))
        return seen


def source_of(talk: Talk, models: dict[str, str]) -> ModelSource:
    """The model as the console's settings have it.

    Raises:
        UserError: there is none of this name.
    """
    if talk.model not in models:
        allowed = ", ".join(models) or "none is configured (MENTOR_CONSOLE_MODELS)"
        raise UserError(f"there is no model {talk.model!r}", field="model", allowed=allowed)
    return ModelSource(url=models[talk.model], name=talk.model, mode="chat", system=talk.system or None)


@asynccontextmanager
async def _opened(source: ModelSource, tell: asyncio.Queue[tuple[str, Any] | None]) -> AsyncIterator[Policy]:
    """The model's policy, as jobs have it in chat mode; what it writes is told as it comes."""
    (endpoint,) = endpoints(source)
    server = OpenAIServer(endpoint)
    try:
        await server.check(_CHECK_S)
        client = OpenAIChatClient(Streamed(server, lambda new: tell.put_nowait(("piece", new))))
        yield ChatPolicy(client, source.label, source.system, server.context_limit)
    finally:
        await server.close()


async def told(talk: Talk, source: ModelSource, tools: ToolRunner) -> AsyncIterator[bytes]:
    """Server-sent events: ``asked``, ``piece`` where the server streams, ``turn``, ``observation``, ``done`` or ``failed``."""
    heard: asyncio.Queue[tuple[str, Any] | None] = asyncio.Queue()

    async def run() -> None:
        sampling = SamplingParams(temperature=talk.temperature, max_tokens=talk.max_tokens)
        limits = RolloutLimits(max_turns=talk.max_turns, trajectory_timeout_s=_PATIENCE_S)
        try:
            async with _opened(source, heard) as policy:
                made = await rollout(talk.question, _Asked(policy, heard), _Run(tools, heard), limits, sampling)
            kept = made.model_dump(mode="json", include={"termination", "answer", "error", "duration_s"})
            heard.put_nowait(("done", kept))
        except MentorError as error:
            heard.put_nowait(("failed", {"message": str(error)}))
        finally:
            heard.put_nowait(None)

    task = asyncio.create_task(run())
    try:
        while (event := await heard.get()) is not None:
            yield f"event: {event[0]}\ndata: {json.dumps(event[1])}\n\n".encode()
    finally:
        task.cancel()
