"""Solve a question set with a model: what teacher and evaluator have in common.

Draws ``samples`` trajectories per question through a journal in the job's work folder, and judges each against the
question's answers; a later attempt goes on where an earlier one stopped.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

from mentor.data import read_questions
from mentor.grading import JUDGES, JudgeName, Verdict
from mentor.rollout.budget import BudgetName, Ledger, Spent
from mentor.rollout.connect import (
    open_policy,
    open_toolsets,
    registry_for,
)
from mentor.rollout.driver import Sampler, Schedule, Task, ToolsetFactory
from mentor.rollout.journal import Journal, draw
from mentor.rollout.loop import rollout
from mentor.rollout.policy import Policy
from mentor.rollout.probe import probe
from mentor.rollout.process import make_ready
from mentor.rollout.spec import DrawSpec, Effort, SolveSpec
from mentor.rollout.tally import Tally, line
from mentor.rollout.variants import varied
from mentor.rollout.wanted import Wanted
from mentor.rpc.retry import RetryPolicy
from mentor.tools.registered import placeholder, registered
from mentor.tools.registry import ToolRegistry
from mentor.trajectory import Frozen, Question, Trajectory

CORRECT = "correct"
"""Key in ``Trajectory.metadata`` of the judge's verdict."""
_TELL_S = 1.0
VERDICT = "verdict"
"""Key of what else it said: reason, values, seconds."""


Scoring = Callable[[Question, Trajectory], Verdict]
"""Scores one trajectory; called from several threads, never for one that was lost to infrastructure."""


class Counting(Protocol):
    """Adds to a counter of the service."""

    def __call__(self, name: str, amount: float = 1.0, **labels: str) -> None: ...


class Reporting(Protocol):
    """Hears how far it is, in words and figures."""

    def __call__(self, fraction: float, message: str = "", **figures: Any) -> None: ...


class Progress(Protocol):
    """The part of a job's context that solving needs."""

    workdir: Path

    def progress(self, fraction: float, message: str = "", **metrics: Any) -> None: ...
    def tell(self, message: str, **metrics: Any) -> None: ...
    def count(self, name: str, amount: float = 1.0, **labels: str) -> None: ...
    def should_stop(self) -> bool: ...
    def save(self) -> None: ...


class Unwatched:
    """Progress of work that nobody watches or stops."""

    def __init__(self, workdir: Path) -> None:
        self.workdir = workdir

    def progress(self, fraction: float, message: str = "", **metrics: Any) -> None: ...
    def tell(self, message: str, **metrics: Any) -> None: ...
    def count(self, name: str, amount: float = 1.0, **labels: str) -> None: ...
    def save(self) -> None: ...
    def should_stop(self) -> bool:
        return False


def load_questions(spec: SolveSpec) -> list[Question]:
    """The questions of the spec's file, each with tools that are known to exist.

    Raises:
        UserError: unreadable, malformed, or naming an unknown tool.
    """
    return offer_tools(spec, read_questions(spec.questions or ""))


def offer_tools(spec: SolveSpec, questions: Sequence[Question]) -> list[Question]:
    """At most ``max_questions`` of them, each with tools that are known to exist.

    A user's tools travel with the questions (``env``, ``func_schemas``), so that what is written from them, and the
    trainer that reads it, needs no second file.

    Raises:
        UserError: one names an unknown tool.
    """
    registry = registry_for(spec.tools, None, [placeholder(name) for name in spec.sandbox_tools])
    return [_with_tools(question, spec, registry) for question in questions][: spec.max_questions]


def _with_tools(question: Question, spec: SolveSpec, registry: ToolRegistry) -> Question:
    offered = registry.for_question(question)
    if spec.sandbox_tools and question.tools is None and question.func_schemas is None:
        return question.model_copy(update={"tools": tuple(tool.name for tool in offered)})
    if spec.tools is None or question.tools is not None or question.func_schemas is not None:
        return question
    return question.model_copy(update={"env": offered[0].source, "func_schemas": tuple(t.openai() for t in offered)})


class Drawn(Frozen):
    """Trajectories by question and sample, what they took, and the budget that was used up, if one was."""

    trajectories: tuple[Trajectory, ...]
    spent: Spent
    stopped_by: BudgetName | None = None


def resolve_tools(spec: SolveSpec, questions: Sequence[Question]) -> list[Question]:
    """Questions that offer tools of the sandbox's own, with the schemas that it tells: they travel with what is written.

    Raises:
        UserError: the sandbox has no such tool.
        InfrastructureError: it does not answer within ``backends.deadline_s``.
    """
    if not spec.sandbox_tools:
        return list(questions)
    retry = RetryPolicy(deadline_s=spec.backends.deadline_s)
    registry = registry_for(None, None, asyncio.run(registered(spec.backends.sandbox, spec.sandbox_tools, retry)))
    return [_with_schemas(question, spec, registry) for question in questions]


def _with_schemas(question: Question, spec: SolveSpec, registry: ToolRegistry) -> Question:
    if question.func_schemas is not None or not set(question.tools or ()) & set(spec.sandbox_tools):
        return question
    schemas = tuple(tool.openai() for tool in registry.for_question(question))
    return question.model_copy(update={"func_schemas": schemas})


def solve(
    spec: SolveSpec, questions: list[Question], context: Progress, score: Scoring | None = None
) -> list[Trajectory] | None:
    """Trajectories by question and sample, scored; None if told to stop before all were drawn.

    ``score`` looks at whole trajectories; where it is None the spec's judge compares answers.

    Raises:
        UserError: the model cannot be used.
        InfrastructureError: more was lost to outages than the spec allows.
        Stopped: told to stop while a model server was being started.
    """
    drawn = generate(spec, questions, context, score)
    return None if drawn is None else list(drawn.trajectories)


def generate(
    spec: SolveSpec,
    questions: list[Question],
    context: Progress,
    score: Scoring | None = None,
    effort: Effort | None = None,
) -> Drawn | None:
    """As ``solve``, as far as ``effort`` says."""
    effort = effort or Effort()
    make_ready(spec.slots)
    journal = Journal(context.workdir / "trajectories.jsonl")
    ledger = Ledger(effort.budget, effort.prices, context.workdir / "spent.json", journal.done.values())
    wanted = Wanted(questions, spec.samples, journal.done, _is_right, effort.until_right, ledger)
    try:
        complete = asyncio.run(_draw(spec, questions, wanted, journal, context, score or _by_judge(spec.judge)))
    finally:
        ledger.keep()
        journal.close()
        context.save()
    if not complete:
        return None
    if wanted.stopped_by:
        context.count("mentor_budgets_used", budget=wanted.stopped_by)
    keys = ((question.id, sample) for question in questions for sample in range(spec.samples))
    found = tuple(journal.done[key] for key in keys if key in journal.done)
    return Drawn(trajectories=found, spent=ledger.spent, stopped_by=wanted.stopped_by)


def _is_right(trajectory: Trajectory) -> bool:
    return bool(trajectory.metadata.get(CORRECT))


def _by_judge(name: JudgeName) -> Scoring:
    judge = JUDGES.get(name, "judge")
    return lambda question, trajectory: judge.grade(trajectory.answer, question.answers)


async def _draw(
    spec: SolveSpec, questions: list[Question], wanted: Wanted, journal: Journal, context: Progress, score: Scoring
) -> bool:
    async with (
        open_policy(spec.model, context, spec.adaptive_up_to) as policy,
        open_toolsets(spec.backends, registry_for(spec.tools)) as toolset_for,
    ):
        return await draw_wanted(
            spec, wanted, journal, policy, toolset_for, score, context.progress, context.count, context.should_stop,
            varied(rollout, spec.prompts, spec.model.system),
        )  # fmt: skip


async def draw_scored(
    spec: DrawSpec,
    questions: Sequence[Question],
    journal: Journal,
    policy: Policy,
    toolset_for: ToolsetFactory,
    score: Scoring,
    progress: Reporting,
    count: Counting,
    should_stop: Callable[[], bool],
    sampler: Sampler = rollout,
) -> bool:
    """Draw what the journal lacks of every sample and score it; False if told to stop before all were drawn.

    Raises: as ``solve``.
    """
    wanted = Wanted(questions, spec.samples, journal.done, _is_right)
    return await draw_wanted(spec, wanted, journal, policy, toolset_for, score, progress, count, should_stop, sampler)


async def draw_wanted(
    spec: DrawSpec,
    wanted: Wanted,
    journal: Journal,
    policy: Policy,
    toolset_for: ToolsetFactory,
    score: Scoring,
    progress: Reporting,
    count: Counting,
    should_stop: Callable[[], bool],
    sampler: Sampler,
) -> bool:
    """Draw what is wanted and score it; False if told to stop before.

    Raises: as ``solve``.
    """
    tally = Tally()
    tally.known((trajectory, _is_right(trajectory)) for trajectory in journal.done.values() if not trajectory.failed)
    told = 0.0

    async def finish(task: Task, trajectory: Trajectory) -> Trajectory:
        correct = False
        metadata = dict(trajectory.metadata)
        if not trajectory.failed:  # scoring may take seconds on a hostile answer: not in the loop
            verdict = await asyncio.get_running_loop().run_in_executor(scorers, score, task.question, trajectory)
            correct = verdict.correct
            metadata[VERDICT] = verdict.model_dump(exclude={"correct"})
        _count(count, trajectory, correct)
        tally.add(trajectory, correct)
        return trajectory.model_copy(update={"metadata": {**metadata, CORRECT: correct}})

    def on_done() -> None:
        nonlocal told
        fraction, now = wanted.fraction, time.monotonic()
        if fraction >= 1 or now - told >= _TELL_S:
            told = now
            figures = tally.figures(fraction)
            progress(fraction, f"{wanted.ended} of {wanted.known} trajectories: {line(figures)}", **figures)

    if wanted.questions and not wanted.done:
        first = wanted.questions[0]
        await probe(policy, toolset_for(first), spec.sampling, spec.limits.turn_timeout_s, first, spec.prompts)
    # A thread for every sample in flight, made when it is needed: one that waits for a slow verdict keeps nobody waiting.
    with ThreadPoolExecutor(spec.slots, thread_name_prefix="score") as scorers:
        return await draw(
            wanted, journal, policy, toolset_for, spec.limits, spec.sampling,
            schedule=Schedule(concurrency=spec.slots, attempts=2),
            max_infrastructure_share=spec.max_infrastructure_share,
            finish=finish, on_done=on_done, should_stop=should_stop, sampler=sampler,
        )  # fmt: skip


def _count(count: Counting, trajectory: Trajectory, correct: bool) -> None:
    """What the dashboards show of a trajectory. Tools are named only if they exist: a model can invent any name."""
    count("mentor_trajectories", termination=str(trajectory.termination), correct=str(correct).lower())
    outcomes = Counter(
        (o.name if o.executed else "unknown", "ok" if o.ok else o.error_type or "failed")
        for turn in trajectory.turns
        for o in turn.observations
    )
    for (tool, outcome), number in outcomes.items():
        count("mentor_tool_calls", number, tool=tool, outcome=outcome)
