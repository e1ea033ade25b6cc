"""Solve a question set with a model: what teacher and evaluator have in common.

Draws ``samples`` trajectories per question through a journal in the job's work folder, and judges each against the
question's answers; a later attempt goes on where an earlier one stopped.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, Any, Protocol

from pydantic import Field

from mentor.data import read_questions
from mentor.grading import JUDGES, JudgeName, Verdict
from mentor.inference import SamplingParams
from mentor.reach import Reach
from mentor.rollout.connect import ModelSource, ToolBackends, open_policy, open_toolsets, registry_for
from mentor.rollout.descriptors import make_room
from mentor.rollout.driver import Sampler, Schedule, Task, ToolsetFactory
from mentor.rollout.journal import Journal, draw, tasks_for
from mentor.rollout.limits import RolloutLimits
from mentor.rollout.loop import rollout
from mentor.rollout.policy import Policy
from mentor.rollout.probe import probe
from mentor.tools.registry import ToolRegistry
from mentor.trajectory import Frozen, Question, Trajectory

CORRECT = "correct"
"""Key in ``Trajectory.metadata`` of the judge's verdict."""
VERDICT = "verdict"
"""Key of what else it said: reason, values, seconds."""


Scoring = Callable[[Question, Trajectory], Verdict]
"""Scores one trajectory; called from several threads, never for one that was lost to infrastructure."""


class Counting(Protocol):
    """Adds to a counter of the service."""

    def __call__(self, name: str, amount: float = 1.0, **labels: str) -> None: ...


class DrawSpec(Frozen):
    """How trajectories are drawn."""

    samples: int = Field(default=1, ge=1, le=256)
    sampling: SamplingParams = Field(default_factory=lambda: SamplingParams(temperature=0.6, max_tokens=8192, seed=0))
    limits: RolloutLimits = Field(default_factory=RolloutLimits)
    concurrency: int = Field(default=32, ge=1, le=4096)
    max_infrastructure_share: float = Field(
        default=0.01, ge=0, le=1, description="share of trajectories that may be lost to outages before the job fails"
    )


class SolveSpec(DrawSpec):
    """A model, a question set, tools, and how to sample."""

    model: ModelSource
    questions: Annotated[str | None, Reach.PATH] = Field(default=None, description="JSON lines or parquet")
    tools: Annotated[str | None, Reach.PATH] = Field(
        default=None, description="a user's tools.py, offered in place of the math tools"
    )
    judge: JudgeName = "math"
    max_questions: int | None = Field(default=None, ge=1)
    gpus: int = Field(default=0, ge=0, le=64, description="devices taken by lease from those that jobs share")
    backends: ToolBackends = Field(default_factory=ToolBackends)


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
    registry = registry_for(spec.tools)
    return [_with_tools(question, spec, registry) for question in questions][: spec.max_questions]


def _with_tools(question: Question, spec: SolveSpec, registry: ToolRegistry) -> Question:
    offered = registry.for_question(question)
    if spec.tools is None or question.tools is not None or question.func_schemas is not None:
        return question
    return question.model_copy(update={"env": offered[0].source, "func_schemas": tuple(t.openai() for t in offered)})


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
    make_room(spec.concurrency)
    journal = Journal(context.workdir / "trajectories.jsonl")
    try:
        complete = asyncio.run(_draw(spec, questions, journal, context, score or _by_judge(spec.judge)))
    finally:
        journal.close()
        context.save()
    if not complete:
        return None
    return [journal.done[question.id, sample] for question in questions for sample in range(spec.samples)]


def _by_judge(name: JudgeName) -> Scoring:
    judge = JUDGES.get(name, "judge")
    return lambda question, trajectory: judge.grade(trajectory.answer, question.answers)


async def _draw(
    spec: SolveSpec, questions: list[Question], journal: Journal, context: Progress, score: Scoring
) -> bool:
    async with (
        open_policy(spec.model, context) as policy,
        open_toolsets(spec.backends, registry_for(spec.tools)) as toolset_for,
    ):
        return await draw_scored(
            spec, questions, journal, policy, toolset_for, score, context.progress, context.count, context.should_stop
        )


async def draw_scored(
    spec: DrawSpec,
    questions: Sequence[Question],
    journal: Journal,
    policy: Policy,
    toolset_for: ToolsetFactory,
    score: Scoring,
    progress: Callable[[float, str], None],
    count: Counting,
    should_stop: Callable[[], bool],
    sampler: Sampler = rollout,
) -> bool:
    """Draw what the journal lacks and score it; False if told to stop before all were drawn.

    Raises: as ``solve``.
    """
    right = sum(bool(t.metadata.get(CORRECT)) for t in journal.done.values())

    async def finish(task: Task, trajectory: Trajectory) -> Trajectory:
        nonlocal right
        correct = False
        metadata = dict(trajectory.metadata)
        if not trajectory.failed:  # scoring may take seconds on a hostile answer: not in the loop
            verdict = await asyncio.get_running_loop().run_in_executor(scorers, score, task.question, trajectory)
            correct = verdict.correct
            metadata[VERDICT] = verdict.model_dump(exclude={"correct"})
        right += correct
        _count(count, trajectory, correct)
        return trajectory.model_copy(update={"metadata": {**metadata, CORRECT: correct}})

    def on_done(done: int, total: int) -> None:
        progress(done / total, f"{done} of {total} trajectories, {right} right")

    if questions and len(journal.done) < len(questions) * spec.samples:
        await probe(policy, toolset_for(questions[0]), spec.sampling, spec.limits.turn_timeout_s)
    # A thread for every sample in flight, made when it is needed: one that waits for a slow verdict keeps nobody waiting.
    with ThreadPoolExecutor(spec.concurrency, thread_name_prefix="score") as scorers:
        return await draw(
            tasks_for(questions, spec.samples), journal, policy, toolset_for, spec.limits, spec.sampling,
            schedule=Schedule(concurrency=spec.concurrency, attempts=2),
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
