"""A model that says what a test wants, and tools that do what a test wants: for the agent loop's own logic."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from mentor.chat import ChatFormat, load_format
from mentor.errors import InfrastructureError
from mentor.inference import Generation, SamplingParams
from mentor.rollout import TokenPolicy
from mentor.tools import MATH_TOOLS, ToolSpec
from mentor.trajectory import Observation, ToolCall
from tests.support.tokenizers import tokenizer

Run = Callable[[ToolCall], Awaitable[Observation]]


class ScriptedClient:
    """Answers with the given turns, one after another; keeps the prompts and parameters it was given."""

    def __init__(self, turns: Sequence[str | Exception], chat: ChatFormat | None = None) -> None:
        self.chat = chat or load_format(tokenizer())
        self.turns = list(turns)
        self.prompts: list[list[int]] = []
        self.params: list[SamplingParams] = []

    async def generate(
        self, prompt_ids: list[int], params: SamplingParams, *, request_id: str, timeout_s: float
    ) -> Generation:
        self.prompts.append(list(prompt_ids))
        self.params.append(params)
        turn = self.turns.pop(0)
        if isinstance(turn, Exception):
            raise turn
        ids = self.chat.encode(turn)
        if not turn.endswith("[CUT]"):
            ids += self.chat.encode(self.chat.end_of_turn)
        finish = "length" if turn.endswith("[CUT]") or len(ids) > params.max_tokens else "stop"
        ids = ids[: params.max_tokens]
        return Generation(token_ids=tuple(ids), logprobs=(-0.5,) * len(ids), finish_reason=finish)


class ScriptedTools:
    """Runs calls through a function."""

    def __init__(self, run: Run, specs: Sequence[ToolSpec] = MATH_TOOLS) -> None:
        self.specs = specs
        self._run = run

    async def run(self, call: ToolCall) -> Observation:
        return await self._run(call)


def scripted_policy(*turns: str | Exception) -> TokenPolicy:
    """A token policy over scripted turns."""
    return TokenPolicy(ScriptedClient(turns), load_format(tokenizer()), model="scripted")


async def adds(call: ToolCall) -> Observation:
    """Adds for real; refuses what it does not know as the toolset does."""
    if call.name != "add":
        error = f"Error: unknown tool '{call.name}'"
        return Observation(name=call.name, content=error, ok=False, executed=False, error_type="unknown_tool")
    return Observation(name="add", content=str(call.arguments["firstNumber"] + call.arguments["secondNumber"]))


async def outage(call: ToolCall) -> Observation:
    """The sandbox is gone."""
    raise InfrastructureError("the sandbox is gone")


async def hang(call: ToolCall) -> Observation:
    """Never returns."""
    await asyncio.sleep(3600)
    raise AssertionError
