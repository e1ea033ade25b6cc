"""A teacher's job in the foreground, or followed from here."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from rich.console import Console
from rich.table import Table

from mentor.analysis.estimates import Range
from mentor.cli.specs import set_field, uploaded
from mentor.data.files import read_mapping
from mentor.jobs.client import JobClient
from mentor.jobs.handler import Stopped, spec_error
from mentor.local.foreground import STOPPED, LiveContext
from mentor.local.progress import follow
from mentor.rollout.tally import REASONS
from mentor_teacher.estimate import TeacherEstimate
from mentor_teacher.jobs import DATASET, TeacherJob
from mentor_teacher.spec import TeacherSpec


def build_spec(file: Path, changes: Mapping[str, Any], pairs: Sequence[str]) -> TeacherSpec:
    """The spec of a file, with what is given in its place.

    Raises:
        UserError: naming the field.
    """
    values = read_mapping(file)
    values |= {name: value for name, value in changes.items() if value is not None}
    for pair in pairs:
        set_field(values, pair)
    try:
        return TeacherSpec.model_validate(values)
    except ValidationError as error:
        raise spec_error(error) from error


class _Run(LiveContext):
    """Publishes the data set beside the work that it came from."""

    def __init__(self, folder: Path, console: Console) -> None:
        super().__init__(folder / "work", console, "teacher", _ends)
        self.folder = folder
        self.workdir.mkdir(parents=True, exist_ok=True)

    def commit(self, name: str, path: Path) -> None:
        if name == DATASET:
            shutil.rmtree(self.folder / name, ignore_errors=True)
            shutil.copytree(path, self.folder / name)


def _ends(figures: dict[str, Any]) -> Table | None:
    """Trajectories by how they ended."""
    if not any(name in figures for name in REASONS):
        return None
    table = Table(*(name.replace("_", " ") for name in REASONS if name in figures))
    table.add_row(*(str(figures[name]) for name in REASONS if name in figures))
    return table


def run_here(spec: TeacherSpec, folder: Path) -> int:
    """Run it; the exit code is 0, or 3 where it was stopped: the same command goes on.

    The folder gets ``dataset``, and ``work``: the journal from which it goes on.

    Raises:
        MentorError: the spec is wrong, or too much was lost.
    """
    console = Console(stderr=True)
    job = TeacherJob()
    job.validate(spec)
    context = _Run(folder, console)
    context.listen_for_stop()
    with context.live:
        try:
            result = job.run(spec, context)
        except Stopped:
            result = None
    if result is None:
        console.print(f"stopped; `mentor teach run ... --output {folder}` goes on from here")
        return STOPPED
    _print(result, console)
    if spec.dry_run is None:
        console.print(f"data set: {folder / DATASET}", markup=False)
    return 0


def run_there(spec: TeacherSpec, url: str) -> int:
    """Submit it, and follow it; 0 if it succeeds.

    Raises:
        MentorError: the service refuses it, or cannot be reached.
    """
    console, client = Console(stderr=True), JobClient(url)
    job = client.submit("teacher", uploaded(spec, client))
    console.print(job.id)
    ended = follow(client, job, "teacher", console)
    if not ended.result:
        console.print(f"{ended.state}: {ended.message or ended.error}", markup=False)
        return 1
    _print(ended.result, console)
    return 0


def _print(result: dict[str, Any], console: Console) -> None:
    if "in_flight" in result:
        print_estimate(TeacherEstimate.model_validate(result), console)
        return
    ends = ", ".join(f"{number} {name.replace('_', ' ')}" for name, number in result["ends"].items() if number)
    spent = result["spent"]
    console.print(f"{result['questions_with_references']} of {result['questions']} questions have references; {ends}")
    tokens = f"{spent['prompt_tokens']:,.0f} prompt and {spent['generated_tokens']:,.0f} generated tokens"
    money = f", {spent['money']:,.4g} of money" if spent["money"] else ""
    console.print(f"{tokens}{money}, {spent['seconds']:,.0f} s")
    if result["stopped_by"]:
        console.print(f"drawing stopped: the budget of {result['stopped_by']} was used up")


def print_estimate(found: TeacherEstimate, console: Console) -> None:
    """Totals with intervals, and how they compare with the budget."""
    title = f"estimate for {found.questions} questions, with 95% interval over {found.probed} that were asked"
    table = Table("", "total", "interval", title=title)
    for name in ("samples", "right", "prompt_tokens", "generated_tokens", "money", "hours"):
        total: Range | None = getattr(found, name)
        if total is not None and (name != "money" or total.total):
            interval = "-" if total.low is None else f"{total.low:,.4g} to {total.high:,.4g}"
            table.add_row(name.replace("_", " "), f"{total.total:,.4g}", interval)
    console.print(table)
    console.print(f"hours: with {found.in_flight} in flight at once")
    if found.within_budget is not None:
        console.print("within the budget" if found.within_budget else "more than the budget: drawing would stop before")
