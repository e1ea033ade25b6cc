"""``mentor grade``: judge answers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from mentor.cli.lines import Row, clear_errors, process_lines, take, texts
from mentor.grading import grade_math, grade_qa

app = typer.Typer(help="Judge answers: JSON lines in, JSON lines out.", no_args_is_help=True)
File = Annotated[Path | None, typer.Argument(help="JSON lines; standard input if left out or -", show_default=False)]


@app.command()
def math(file: File = None) -> None:
    """Mathematical equality. In: {prediction, gold}; out: {correct, reason, seconds}. gold may be a list."""

    def work(row: Row) -> Any:
        return grade_math(_prediction(row), texts(row, "gold"))

    with clear_errors():
        process_lines(file, work)


@app.command()
def qa(file: File = None) -> None:
    """QA metrics in FlashRAG's normalisation. In: {prediction, golds}; out: {em, sub_em, f1, precision, recall}."""

    def work(row: Row) -> Any:
        return grade_qa(_prediction(row), texts(row, "golds"))

    with clear_errors():
        process_lines(file, work)


def _prediction(row: Row) -> str | None:
    value = take(row, "prediction", (str, int, float, type(None)), "a string, or null for no answer")
    return None if value is None else str(value)
