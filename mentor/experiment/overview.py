"""The table of where a grid stands, and the records of it that may be used."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from mentor.experiment.plan import Run, make_plan
from mentor.experiment.records import RunRecord, path_of, read_record
from mentor.experiment.running.board import duration
from mentor.experiment.running.session import work_folder
from mentor.experiment.running.work import Work
from mentor.experiment.spec import ExperimentSpec
from mentor.experiment.standing import Standing, State, cells

_STATES: tuple[State, ...] = ("done", "stale code", "stale", "failed", "missing")


def print_status(
    spec: ExperimentSpec, only: Sequence[str], work: Path, console: Console, *, any_code: bool = False
) -> None:
    """Print the seeds of every cell by state, why runs failed, and the time that the rest may take."""
    plan = make_plan(spec, only)
    standing = Standing(plan, Work(work, plan.code), any_code=any_code)
    table = Table("method", "world", "student", *_STATES)
    for cell, runs in cells(plan).items():
        table.add_row(*cell, *(_seeds(runs, standing, state) for state in _STATES))
    console.print(table)
    counts = standing.counts()
    console.print(f"{len(plan.runs)} runs: " + ", ".join(f"{number} {state}" for state, number in counts.items()))
    if counts["stale code"]:
        what = "count as done" if any_code else "are run again (--any-code: they count as done)"
        console.print(f"{counts['stale code']} records are of another version of the code; they {what}")
    _print_failures(standing, console)
    left = standing.left()
    seconds = standing.seconds_left(left, spec.lanes)
    if left:
        told = "unknown until a run is done" if seconds is None else f"about {duration(seconds)}"
        console.print(f"{len(left)} runs left: {told}, with {spec.lanes} side by side")


def _seeds(runs: Sequence[Run], standing: Standing, state: State) -> str:
    return " ".join(str(run.id.seed) for run in runs if standing.state(run) == state)


def _print_failures(standing: Standing, console: Console) -> None:
    for run, failure in standing.failures.items():
        console.print(
            f"failed {failure.time}: {run.label}: {failure.step}: {failure.error}", markup=False, highlight=False
        )


def usable_records(spec: ExperimentSpec, console: Console, *, any_code: bool = False) -> list[RunRecord]:
    """The records that are what the grid asks for, in the grid's order; says how many are not, and how many are missing."""
    plan = make_plan(spec)
    standing = Standing(plan, Work(work_folder(spec, None), plan.code), any_code=any_code)
    counts = standing.counts()
    used = [run for run in plan.runs if standing.is_done(run)]
    others = ", ".join(f"{counts[state]} {state}" for state in _STATES[1:] if counts[state])
    console.print(f"{len(used)} of {len(plan.runs)} runs" + (f" ({others})" if others else ""))
    if counts["stale code"] and not any_code:
        console.print("records of another version of the code are left out; --any-code takes them")
    return [read_record(path_of(Path(spec.results), run.id)) for run in used]
