"""Run many trajectories at once: bounded concurrency, retries of infrastructure failures, results as they finish."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Protocol

from mentor.inference.base import SamplingParams
from mentor.rollout.limits import RolloutLimits
from mentor.rollout.loop import ToolRunner, rollout
from mentor.rollout.policy import Admitting, Policy
from mentor.trajectory import Frozen, Question, Trajectory

_APART_S = 0.001
"""Between the beginnings of two slots."""


class Task(Frozen):
    """One sample to be drawn of one question."""

    question: Question
    sample: int = 0


class ToolsetFactory(Protocol):
    """Gives a question its tools."""

    def __call__(self, question: Question) -> ToolRunner: ...


class Sampler(Protocol):
    """Draws one trajectory. ``mentor.rollout.loop.rollout``, the agent loop, is the usual one."""

    async def __call__(
        self,
        question: Question,
        policy: Policy,
        toolset: ToolRunner,
        limits: RolloutLimits,
        sampling: SamplingParams,
        *,
        sample: int = 0,
    ) -> Trajectory: ...


Finish = Callable[[Task, Trajectory], Awaitable[Trajectory]]


class TaskSource(Protocol):
    """Tasks that depend on what became of earlier ones."""

    async def take(self) -> Task | None:
        """The next, once it is known; None when there will be no more."""
        ...

    def settle(self, task: Task, trajectory: Trajectory) -> None:
        """One that was taken has ended, finished by ``finish``."""
        ...


class Schedule(Frozen):
    """How many trajectories run at once, and how often an infrastructure failure is tried again."""

    concurrency: int = 32
    attempts: int = 3
    backoff_s: float = 1.0


class _Listed:
    """Tasks that are known beforehand."""

    def __init__(self, tasks: Iterable[Task]) -> None:
        self._tasks = iter(tasks)

    async def take(self) -> Task | None:
        return next(self._tasks, None)

    def settle(self, task: Task, trajectory: Trajectory) -> None: ...


async def run_many(
    tasks: Iterable[Task] | TaskSource,
    policy: Policy,
    toolset_for: ToolsetFactory,
    limits: RolloutLimits,
    sampling: SamplingParams,
    schedule: Schedule | None = None,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    finish: Finish | None = None,
    sampler: Sampler = rollout,
) -> AsyncIterator[tuple[Task, Trajectory]]:
    """Yield each task with its trajectory, in order of completion; no sample waits for another.

    Tasks are pulled from the iterable only as slots come free, so it may be longer than memory. A trajectory that
    is still ``infrastructure`` after ``schedule.attempts`` tries is yielded as such: the caller counts it, apart.
    ``finish`` completes each trajectory in its own slot (judges it): a slow one holds up nobody else, and a caller that
    takes results slowly holds up everybody, so that nothing piles up. The work for a trajectory does not grow with the
    number in flight. Where the policy says how much its endpoints bear (``Admitting``), a task is taken only when there
    is room for it.
    Slots begin one after another, a millisecond apart: what begins together stays in step, and each of its turns then
    waits for the work of all.
    Closing the iterator cancels what is in flight.
    """
    schedule = schedule or Schedule()
    source: TaskSource = _Listed(tasks) if isinstance(tasks, Iterable) else tasks
    enter = policy.enter if isinstance(policy, Admitting) else None
    finished: asyncio.Queue[tuple[Task, Trajectory] | BaseException | None] = asyncio.Queue(schedule.concurrency)

    drained = asyncio.Event()

    async def attempt(task: Task) -> Trajectory:
        for number in range(schedule.attempts):
            toolset = toolset_for(task.question)
            trajectory = await sampler(task.question, policy, toolset, limits, sampling, sample=task.sample)
            if not trajectory.failed or number + 1 == schedule.attempts:
                break
            await sleep(schedule.backoff_s * 2**number)
        return trajectory

    async def one() -> tuple[Task, Trajectory] | None:
        entry = await enter() if enter else None
        try:
            task = await source.take()
            if task is None:
                return None
            trajectory = await attempt(task)
        finally:
            if entry:
                entry.leave()
        if finish:
            trajectory = await finish(task, trajectory)
        source.settle(task, trajectory)
        return task, trajectory

    async def slot() -> None:
        """Takes one task after another; says None when there are no more."""
        try:
            while (drawn := await one()) is not None:
                await finished.put(drawn)
            drained.set()
            await finished.put(None)
        except Exception as error:
            await finished.put(error)

    slots: list[asyncio.Task[None]] = []

    async def begin() -> None:
        """Starts the slots, until there are enough or nothing is left for them; says None when it has."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        while len(slots) < schedule.concurrency and not drained.is_set():
            due = 1 + int((loop.time() - began) / _APART_S)
            slots.extend(asyncio.create_task(slot()) for _ in range(len(slots), min(due, schedule.concurrency)))
            await asyncio.sleep(_APART_S)
        await finished.put(None)

    starting = asyncio.create_task(begin())
    ended = 0
    try:
        while ended < 1 + len(slots):
            outcome = await finished.get()
            if outcome is None:
                ended += 1
            elif isinstance(outcome, BaseException):
                raise outcome
            else:
                yield outcome
    finally:
        starting.cancel()
        for pending in slots:
            pending.cancel()
        await asyncio.gather(starting, *slots, return_exceptions=True)
