"""Ways to draw trajectories of two turns from one server: ours, a bare HTTP client, and a barrier after every turn."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp

from benchmarks.rollout.server import MODEL
from mentor.grading import make_judge
from mentor.inference import Endpoint, OpenAIChatClient, OpenAIServer, SamplingParams
from mentor.inference.pool import EndpointPool, Member
from mentor.rollout import ChatPolicy, RolloutLimits, Schedule, Task, run_many
from mentor.rollout.journal import Journal, draw
from mentor.rollout.solve import CORRECT
from mentor.rollout.wanted import Wanted
from mentor.tools import MATH_TOOLS
from mentor.tools.spec import ToolSpec
from mentor.trajectory import Observation, Question, ToolCall, Trajectory

Ended = Callable[[], None]
"""Told when a trajectory has ended."""
TEXT = "Question: Anna has {n} red eggs and 3 blue eggs. How many eggs are there in total?"
SAMPLING = SamplingParams(max_tokens=512, seed=0)
TOOLS = tuple(tool for tool in MATH_TOOLS if tool.name == "add")


class Adds:
    """The one tool, in this process."""

    specs: tuple[ToolSpec, ...] = TOOLS

    async def run(self, call: ToolCall) -> Observation:
        return Observation(name="add", content=str(call.arguments["firstNumber"] + call.arguments["secondNumber"]))


def questions(count: int) -> list[Question]:
    """So many, each with the same answer."""
    return [Question(id=f"q{n}", question=TEXT.format(n=n), answers=("5",)) for n in range(count)]


def tasks(count: int) -> list[Task]:
    """One sample each of so many questions."""
    return [Task(question=question) for question in questions(count)]


@asynccontextmanager
async def policy(port: int) -> AsyncIterator[ChatPolicy]:
    """Our chat policy on that server."""
    pool = EndpointPool([Member(OpenAIServer(Endpoint(url=f"http://127.0.0.1:{port}", model=MODEL)), "server")])
    await pool.check()
    try:
        yield ChatPolicy(OpenAIChatClient(pool), MODEL)
    finally:
        await pool.close()


async def ours(port: int, count: int, in_flight: int, ended: Ended) -> None:
    """The agent loop under the driver, without journal and judge."""
    tools = Adds()
    async with policy(port) as asked:
        stream = run_many(
            tasks(count), asked, lambda _: tools, RolloutLimits(), SAMPLING, Schedule(concurrency=in_flight)
        )
        async for _ in stream:
            ended()


async def judged(port: int, count: int, in_flight: int, folder: Path, ended: Ended) -> None:
    """As ``ours``, each trajectory judged and written to a journal."""
    tools, judge = Adds(), make_judge("math")

    async def finish(task: Task, trajectory: Trajectory) -> Trajectory:
        right = await asyncio.to_thread(judge, trajectory.answer, task.question.answers)
        return trajectory.model_copy(update={"metadata": {CORRECT: right}})

    journal = Journal(folder / "journal.jsonl")
    wanted = Wanted(questions(count), 1, journal.done, lambda _: False)
    async with policy(port) as asked:
        await draw(
            wanted, journal, asked, lambda _: tools, RolloutLimits(), SAMPLING,
            schedule=Schedule(concurrency=in_flight), max_infrastructure_share=0.0, finish=finish,
            on_done=ended, should_stop=lambda: False,
        )  # fmt: skip
    journal.close()


async def bare(port: int, count: int, in_flight: int, ended: Ended) -> None:
    """Two requests for each trajectory with aiohttp: what the network alone costs a process of Python."""
    url = f"http://127.0.0.1:{port}/v1/chat/completions"
    tools = [tool.openai() for tool in TOOLS]
    left = iter(range(count))
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, trust_env=False) as session:

        async def ask(messages: list[dict[str, str]]) -> None:
            body = {"model": MODEL, "messages": messages, "tools": tools, "max_tokens": 512}
            async with session.post(url, json=body) as response:
                json.loads(await response.read())["choices"][0]["message"]

        async def worker() -> None:
            for number in left:
                messages = [{"role": "user", "content": TEXT.format(n=number)}]
                await ask(messages)
                await ask([*messages, {"role": "tool", "tool_call_id": "c", "content": "5"}])
                ended()

        await asyncio.gather(*(worker() for _ in range(in_flight)))


async def barrier(port: int, count: int, in_flight: int, ended: Ended) -> None:
    """As published rollouts do it: a batch of conversations, each turn waits for the slowest."""
    url = f"http://127.0.0.1:{port}/v1/chat/completions"
    tools = [tool.openai() for tool in TOOLS]
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), trust_env=False) as session:

        async def ask(messages: list[dict[str, str]]) -> None:
            body = {"model": MODEL, "messages": messages, "tools": tools, "max_tokens": 512}
            async with session.post(url, json=body) as response:
                json.loads(await response.read())

        for batch in _batches(range(count), in_flight):
            started = [[{"role": "user", "content": TEXT.format(n=n)}] for n in batch]
            await asyncio.gather(*(ask(messages) for messages in started))
            seen = {"role": "tool", "tool_call_id": "c", "content": "5"}
            await asyncio.gather(*(ask([*messages, seen]) for messages in started))
            for _ in batch:
                ended()


def _batches(numbers: range, size: int) -> Iterable[range]:
    return (numbers[begin : begin + size] for begin in range(0, len(numbers), size))
