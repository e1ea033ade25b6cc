"""Draws the cells of a matrix: one model after another, each opened once per way of thinking, every sample journalled."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from itertools import groupby
from pathlib import Path
from typing import Any

from mentor.errors import InfrastructureError
from mentor.grading import Verdict
from mentor.rollout.connect import ModelSource, open_policy, open_toolsets
from mentor.rollout.driver import Sampler, ToolsetFactory
from mentor.rollout.journal import Journal
from mentor.rollout.policy import Policy
from mentor.rollout.process import make_ready
from mentor.rollout.solve import Progress, Scoring, draw_scored
from mentor.rollout.variants import varied
from mentor.rpc.health import require_ready
from mentor.rpc.retry import RetryPolicy
from mentor.tools.registry import ToolRegistry
from mentor.trajectory import Question, Trajectory
from mentor_evaluator.matrix.plan import Cell
from mentor_evaluator.matrix.spec import EvaluationSpec
from mentor_evaluator.runs import TRAJECTORIES, cell_folder
from mentor_evaluator.scorers import SCORERS
from mentor_evaluator.strategies import STRATEGIES
from mentor_evaluator.suites import SamplingSuite

SECOND = "second/"
"""Prefix of the measures of judges that stand beside a suite's own."""


def draw_matrix(spec: EvaluationSpec, cells: Sequence[Cell], run: Path, context: Progress) -> bool:
    """Draw and score what the run's journals lack; False if told to stop before all were drawn.

    Raises:
        UserError: a model cannot be used.
        InfrastructureError: more was lost to outages than the spec allows.
    """
    make_ready(spec.slots)
    return asyncio.run(_draw(spec, cells, run, context))


async def _draw(spec: EvaluationSpec, cells: Sequence[Cell], run: Path, context: Progress) -> bool:
    done = 0
    lacking = {cell.key: cell for cell in cells if not _complete(cell, spec, run)}
    await check_services(spec, lacking.values())
    async with open_toolsets(spec.backends, ToolRegistry()) as toolset_for:
        for (_, thinking), group in groupby(cells, key=lambda cell: (cell.model.name, cell.arm.thinking)):
            together = list(group)
            if not any(cell.key in lacking for cell in together):
                done += len(together)
                continue
            source = _thinking(together[0].model.model, thinking)
            async with open_policy(source, context, spec.adaptive_up_to) as policy:
                for cell in together:
                    if not await _draw_cell(spec, cell, run, context, policy, toolset_for, (done, len(cells))):
                        return False
                    done += 1
    return True


async def check_services(spec: EvaluationSpec, cells: Iterable[Cell]) -> None:
    """Have the services of the tools that cells offer answer once, before a model is asked anything.

    Raises:
        InfrastructureError: one does not within ``backends.deadline_s``; it names the service and its address.
        UserError: something else answers there.
    """
    registry = ToolRegistry()
    offering = (cell for cell in cells if not isinstance(cell.planned.suite, SamplingSuite))
    needed = {
        tool.backend for cell in offering for question in cell.questions for tool in registry.for_question(question)
    }
    retry = RetryPolicy(deadline_s=spec.backends.deadline_s)
    for service, target in (("sandbox", spec.backends.sandbox), ("retriever", spec.backends.retriever)):
        if service in needed:
            try:
                await require_ready(target, service, retry)
            except InfrastructureError as error:
                raise InfrastructureError(f"the {service}, whose tools the suites offer: {error.message}") from error


async def _draw_cell(
    spec: EvaluationSpec,
    cell: Cell,
    run: Path,
    context: Progress,
    policy: Policy,
    toolset_for: ToolsetFactory,
    place: tuple[int, int],
) -> bool:
    before, total = place
    journal = Journal(cell_folder(run, cell.key) / TRAJECTORIES)

    def progress(fraction: float, message: str = "", **_: Any) -> None:
        figures = {f"{cell.key} accuracy": _accuracy(journal.done.values())} if fraction == 1 else {}
        context.progress((before + fraction) / total, f"{cell.key}: {message}", **figures)

    try:
        async with _sampler(cell, spec, run, policy) as sampler:
            return await draw_scored(
                spec.draw_spec(cell.model), cell.questions, journal, policy, toolset_for,
                scoring(cell.planned.suite.scorer, spec.second_judges), progress, context.count, context.should_stop,
                sampler=sampler,
            )  # fmt: skip
    finally:
        journal.close()
        context.save()


@asynccontextmanager
async def _sampler(cell: Cell, spec: EvaluationSpec, run: Path, policy: Policy) -> AsyncIterator[Sampler]:
    """The suite's own, or the strategy's."""
    suite = cell.planned.suite
    if isinstance(suite, SamplingSuite):
        async with suite.open_sampler(cell_folder(run, cell.key), policy, spec.draw_spec(cell.model).sampling) as own:
            yield own
    else:
        yield varied(STRATEGIES.get(spec.strategy).draw, spec.prompts, cell.model.model.system)


def scoring(scorer: str, second: Sequence[str]) -> Scoring:
    """A suite's scorer, with verdicts of further ones beside it: they are recorded, and never change the verdict."""
    first = SCORERS.get(scorer).score
    others = {name: SCORERS.get(name).score for name in second if name != scorer}

    def score(question: Question, trajectory: Trajectory) -> Verdict:
        verdict = first(question, trajectory)
        for name, judge in others.items():
            verdict = _beside(verdict, name, judge(question, trajectory))
        return verdict

    return score


def _beside(verdict: Verdict, name: str, second: Verdict) -> Verdict:
    """A verdict with what a second judge says: whether right, why, its measures and its notes."""
    values = {f"{SECOND}{name}": float(second.correct)} | {f"{SECOND}{name}/{k}": v for k, v in second.values.items()}
    notes = {f"{SECOND}{name}": second.reason} | {f"{SECOND}{name}/{k}": v for k, v in second.notes.items()}
    return verdict.model_copy(update={"values": verdict.values | values, "notes": verdict.notes | notes})


def _accuracy(trajectories: Iterable[Trajectory]) -> float:
    verdicts = [bool(t.metadata.get("correct")) for t in trajectories if not t.failed]
    return sum(verdicts) / max(1, len(verdicts))


def _complete(cell: Cell, spec: EvaluationSpec, run: Path) -> bool:
    """Whether the journal has every sample: then a model need not be started again for it."""
    path = cell_folder(run, cell.key) / TRAJECTORIES
    if not path.exists():
        return False
    journal = Journal(path)
    journal.close()
    done = {key for key, trajectory in journal.done.items() if not trajectory.failed}
    samples = spec.draw_spec(cell.model).samples
    return all((question.id, sample) in done for question in cell.questions for sample in range(samples))


def _thinking(source: ModelSource, thinking: bool | None) -> ModelSource:
    if thinking is None:
        return source
    return source.model_copy(update={"template_kwargs": {**source.template_kwargs, "enable_thinking": thinking}})
