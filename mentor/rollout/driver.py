"""Run many trajectories at once: bounded concurrency, retries of infrastructure failures, results as they finish."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Protocol

from mentor.inference.base import SamplingParams
from mentor.rollout.limits import RolloutLimits
from mentor.rollout.loop import ToolRunner, rollout
from mentor.rollout.policy import Policy
from mentor.trajectory import Frozen, Question, Trajectory


class Task(Frozen):
    """One sample to be drawn of one question."""

    question: Question
    sample: int = 0


class ToolsetFactory(Protocol):
    """Gives a question its tools."""

    def __call__(self, question: Question) -> ToolRunner: ...


class Schedule(Frozen):
    """How many trajectories run at once, and how often an infrastructure failure is tried again."""

    concurrency: int = 32
    attempts: int = 3
    backoff_s: float = 1.0


async def run_many(
    tasks: Iterable[Task],
    policy: Policy,
    toolset_for: ToolsetFactory,
    limits: RolloutLimits,
    sampling: SamplingParams,
    schedule: Schedule | None = None,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> AsyncIterator[tuple[Task, Trajectory]]:
    """Yield each task with its trajectory, in order of completion; no sample waits for another.

    Tasks are pulled from the iterable only as slots come free, so it may be longer than memory. A trajectory that
    is still ``infrastructure`` after ``schedule.attempts`` tries is yielded as such: the caller counts it, apart.
    Closing the iterator cancels what is in flight.
    """
    schedule = schedule or Schedule()
    source = iter(tasks)
    running: dict[asyncio.Task[Trajectory], Task] = {}

    async def attempt(task: Task) -> Trajectory:
        for number in range(schedule.attempts):
            toolset = toolset_for(task.question)
            trajectory = await rollout(task.question, policy, toolset, limits, sampling, sample=task.sample)
            if not trajectory.failed or number + 1 == schedule.attempts:
                break
            await sleep(schedule.backoff_s * 2**number)
        return trajectory

    try:
        while True:
            while len(running) < schedule.concurrency and (task := next(source, None)) is not None:
                running[asyncio.create_task(attempt(task))] = task
            if not running:
                return
            done, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            for finished in done:
                yield running.pop(finished), finished.result()
    finally:
        for pending in running:
            pending.cancel()
        await asyncio.gather(*running, return_exceptions=True)
