"""``mentor grade``: judge answers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from mentor.cli.lines import Row, clear_errors, process_lines, take, texts
from mentor.errors import UserError
from mentor.grading import grade_math, grade_qa
from mentor.grading.response import final_answer_of_text
from mentor.grading.words import Kind

app = typer.Typer(help="Judge answers: JSON lines in, JSON lines out.", no_args_is_help=True)
File = Annotated[Path | None, typer.Argument(help="JSON lines; standard input if left out or -", show_default=False)]


@app.command()
def math(file: File = None) -> None:
    """Mathematical equality. In: {prediction or response, gold}; out: {correct, reason, seconds}. gold may be a list.

    ``prediction`` is an answer alone. ``response`` is all that a model wrote: the answer is looked for in it, outside of
    reasoning and tool output, and shown as ``answer``.
    """

    def work(row: Row) -> Any:
        answer, found = _answer(row, "math")
        return grade_math(answer, texts(row, "gold")).model_dump() | found

    with clear_errors():
        process_lines(file, work)


@app.command()
def qa(file: File = None) -> None:
    """QA metrics in FlashRAG's normalisation. In: {prediction or response, golds}; out: {em, sub_em, f1, precision, recall}.

    ``response`` is all that a model wrote, as for ``math``.
    """

    def work(row: Row) -> Any:
        answer, found = _answer(row, "text")
        return grade_qa(answer, texts(row, "golds")).model_dump() | found

    with clear_errors():
        process_lines(file, work)


def _answer(row: Row, kind: Kind) -> tuple[str | None, Row]:
    """The answer to be judged, and what to show beside the verdict."""
    if "response" not in row:
        return _prediction(row), {}
    if "prediction" in row:
        raise UserError("prediction and response are both given", field="response", allowed="one of them")
    answer = final_answer_of_text(take(row, "response", str, "a string: all that the model wrote"), kind)
    return answer, {"answer": answer}


def _prediction(row: Row) -> str | None:
    value = take(row, "prediction", (str, int, float, type(None)), "a string, or null for no answer")
    return None if value is None else str(value)
