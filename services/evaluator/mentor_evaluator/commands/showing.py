"""What ``mentor eval show`` prints."""

from __future__ import annotations

import json
from pathlib import Path

import typer
from rich.console import Console

from mentor.cli.console import wide_console
from mentor.errors import UserError
from mentor.trajectory import Trajectory
from mentor_evaluator.commands.listing import print_matrix
from mentor_evaluator.commands.tables import print_cell
from mentor_evaluator.measures.reading import report_of
from mentor_evaluator.records import messages, record
from mentor_evaluator.runs import CellFolder, open_run


def show_run(folder: Path, cell: str | None, sample: str | None, as_json: bool) -> None:
    """Print the matrix, a cell, or a sample.

    Raises:
        UserError: there is no such run, cell or sample.
    """
    run = open_run(folder, "RUN")
    if sample is not None:
        if cell is None:
            raise UserError("--sample needs --cell", field="--cell", allowed=", ".join(c.key for c in run.cells()))
        _sample(run.cell(cell), sample, as_json)
        return
    report = report_of(run)
    if cell is not None:
        found = report.cells[run.cell(cell).key]
        typer.echo(found.model_dump_json(indent=2)) if as_json else print_cell(cell, found)
    elif as_json:
        typer.echo(report.model_dump_json(indent=2))
    else:
        print_matrix(report.model_dump(mode="json"), wide_console())


def _sample(cell: CellFolder, name: str, as_json: bool) -> None:
    trajectory = _find(cell, name)
    question = next(q for q in cell.questions if q.id == trajectory.question_id)
    if as_json:
        typer.echo(json.dumps(record(question, trajectory, cell.model), ensure_ascii=False, indent=2))
        return
    console = Console()
    for message in messages(question, trajectory):
        console.rule(message["role"])
        console.print(message.get("content") or "", markup=False)
        for call in message.get("tool_calls") or ():
            console.print(f"-> {call['function']['name']} {call['function']['arguments']}", markup=False)
    console.rule("verdict")
    verdict = trajectory.metadata.get("verdict") or {}
    right = "right" if trajectory.metadata.get("correct") else "wrong"
    console.print(
        f"{right} ({verdict.get('reason')}): {trajectory.answer!r}, accepted {list(question.answers)}", markup=False
    )
    console.print(f"ended as {trajectory.termination} in {trajectory.duration_s:.1f} s", markup=False)


def _find(cell: CellFolder, name: str) -> Trajectory:
    for trajectory in cell.trajectories:
        if name in (f"{trajectory.question_id}:{trajectory.sample}", trajectory.question_id):
            return trajectory
    some = ", ".join(f"{t.question_id}:{t.sample}" for t in cell.trajectories[:5])
    raise UserError(f"no sample {name!r} in {cell.key}", field="--sample", allowed=f"such as {some}")
