"""A dry run: what a grid would do and take, its specs held against the services' own schemas where those answer."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from rich.console import Console
from rich.table import Table

from mentor.errors import MentorError
from mentor.experiment.keys import File, Output
from mentor.experiment.plan import Plan, Run, Step, make_plan
from mentor.experiment.reckoning import Load, Reckoning, assumptions
from mentor.experiment.running.work import Work
from mentor.experiment.spec import ExperimentSpec
from mentor.experiment.standing import Standing
from mentor.jobs.client import JobClient
from mentor.jobs.model import ARTIFACT_SCHEME
from mentor.jobs.uploads import SCHEME as FILE_SCHEME


def print_plan(
    spec: ExperimentSpec, only: Sequence[str], work: Path, console: Console, *, any_code: bool = False
) -> bool:
    """Print what a grid would take in all, and what of it is left; whether no schema refuses a spec of it.

    Raises:
        UserError: the grid cannot be expanded.
    """
    plan = make_plan(spec, only)
    standing = Standing(plan, Work(work, plan.code), any_code=any_code)
    reckoning = Reckoning(plan, spec.costs, standing.step_seconds)
    left = standing.left()
    _print_runs(plan, console)
    console.print(_loads("the whole grid", reckoning.loads(plan.runs)))
    if len(left) < len(plan.runs):
        console.print(_loads(f"{len(left)} runs that are left", reckoning.loads(left)))
    for line in ("these figures assume:", *(f"  {a}" for a in assumptions(spec.costs, standing.measured))):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    return _print_checks(plan, console)


def _print_runs(plan: Plan, console: Console) -> None:
    """Methods with their worlds, students and seeds."""
    table = Table("method", "label", "worlds", "students", "seeds", "runs", title=f"{plan.spec.name}: runs")
    methods: dict[str, list[Run]] = defaultdict(list)
    for run in plan.runs:
        methods[run.id.method].append(run)
    for name, runs in methods.items():
        method = plan.spec.methods.get(name)
        sides = ([r.id.world for r in runs], [r.id.student for r in runs], [str(r.id.seed) for r in runs])
        named = (" ".join(dict.fromkeys(side)) for side in sides)
        table.add_row(name, (method.label if method else None) or name, *named, str(len(runs)))
    console.print(table)


def _loads(title: str, loads: Mapping[str, Load]) -> Table:
    table = Table("jobs of", "jobs", "steps", "trajectories", "tokens", "GPU hours", "money", title=title)
    total = Load()
    for row, load in loads.items():
        table.add_row(row, *_shown(load))
        total += load
    table.add_section()
    table.add_row("all", *_shown(total))
    return table


def _shown(load: Load) -> tuple[str, ...]:
    hours = "unknown" if load.gpu_hours is None else f"{load.gpu_hours:,.1f}"
    whole = (f"{value:,}" for value in (load.jobs, load.steps, load.trajectories))
    return (*whole, f"{load.tokens:,.0f}", hours, f"{load.money:,.2f}")


def _print_checks(plan: Plan, console: Console) -> bool:
    """Hold every job's spec against its service's schema, and say how it went."""
    urls = plan.spec.services
    good = True
    for kind, url in (("teacher", urls.teacher), ("train", urls.trainer), ("evaluate", urls.evaluator)):
        steps = [step for step in plan.steps.values() if step.kind == kind]
        if not steps:
            continue
        try:
            schema = JobClient(url).schema(kind)
        except MentorError as error:
            told = f"{kind}: not checked against the service's schema: {error.message}"
        else:
            found = list(refused(steps, schema))
            good = good and not found
            told = f"{kind}: {len(steps)} specs, {len(found)} refused by the service's schema"
            told += "".join(f"\n  {line}" for line in found)
        console.print(told, markup=False, highlight=False, soft_wrap=True)
    return good


def refused(steps: Sequence[Step], schema: dict[str, Any]) -> Iterator[str]:
    """What a schema finds wrong with specs: a line for each step that it refuses, naming the field."""
    validator = Draft202012Validator(schema)
    for step in steps:
        error = next(iter(sorted(validator.iter_errors(_plain(step.spec)), key=lambda e: list(map(str, e.path)))), None)
        if error is not None:
            field = ".".join(map(str, error.absolute_path)) or "spec"
            yield f"{step.label}: {field}: {error.message}"


def _plain(value: Any) -> Any:
    """A spec as it would be sent: references in place of files and outputs."""
    if isinstance(value, File):
        return f"{FILE_SCHEME}{value.digest}/{value.path.name}"
    if isinstance(value, Output):
        return f"{ARTIFACT_SCHEME}{value.step}/{value.name}"
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return value
