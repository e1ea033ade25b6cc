"""``mentor analyse``: statistics of tool use and of repeated samples."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from mentor.analysis import alignment as score_alignment
from mentor.analysis import alignment_of_totals, calls_by_question, tool_usage
from mentor.analysis import pass_at_k as estimate_pass_at_k
from mentor.cli.lines import Row, clear_errors, process_lines, take
from mentor.data import iter_trajectories

app = typer.Typer(help="Statistics of trajectories: JSON lines in, JSON lines out.", no_args_is_help=True)
File = Annotated[Path | None, typer.Argument(help="JSON lines; standard input if left out or -", show_default=False)]


@app.command()
def alignment(file: File = None, seed: Annotated[int, typer.Option(help="of the bootstrap")] = 0) -> None:
    """Alignment score (paper, Eq. 8), of totals: every call counts as independent.

    In: {teacher_counts, student_counts}, calls by tool name; out: the score with interval and noise floor.
    `mentor analyse alignment-of TEACHER STUDENT` knows the questions, and its interval respects them.
    """

    def work(row: Row) -> Any:
        counts = (take(row, name, dict, "an object of counts by tool") for name in ("teacher_counts", "student_counts"))
        return alignment_of_totals(*counts, seed=seed)

    with clear_errors():
        process_lines(file, work)


@app.command(name="alignment-of")
def alignment_of(
    teacher: Annotated[Path, typer.Argument(help="the teacher's trajectories.jsonl")],
    student: Annotated[Path, typer.Argument(help="the student's, on the same questions")],
    seed: Annotated[int, typer.Option(help="of the bootstrap")] = 0,
) -> None:
    """Alignment score of two sets of trajectories, with an interval over questions, as one JSON object."""
    with clear_errors():
        sides = [calls_by_question(iter_trajectories(path)) for path in (teacher, student)]
        typer.echo(score_alignment(*sides, seed=seed).model_dump_json())


@app.command(name="pass-at-k")
def pass_at_k(file: File = None) -> None:
    """Unbiased pass@k. In: {n, c, k}; out: {pass_at_k}."""

    def work(row: Row) -> Any:
        return {"pass_at_k": estimate_pass_at_k(*(take(row, name, int, "an integer") for name in ("n", "c", "k")))}

    with clear_errors():
        process_lines(file, work)


@app.command()
def usage(file: Annotated[Path, typer.Argument(help="trajectories.jsonl")]) -> None:
    """Tool usage of a set of trajectories, as one JSON object."""
    with clear_errors():
        typer.echo(tool_usage(list(iter_trajectories(file))).model_dump_json())
