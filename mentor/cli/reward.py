"""``mentor reward``: score trajectories."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from mentor.cli.lines import Row, clear_errors, parse_model, process_lines, take
from mentor.errors import UserError
from mentor.grading import make_judge
from mentor.rewards import load_preset, preset_names, score
from mentor.tools import MATH_TOOLS, WIKIPEDIA_SEARCH, ToolSpec
from mentor.tools.registry import ToolRegistry
from mentor.trajectory import Question, Reference, Trajectory

app = typer.Typer(help="Score trajectories against references.", no_args_is_help=True)
File = Annotated[Path | None, typer.Argument(help="JSON lines; standard input if left out or -", show_default=False)]


@app.command(name="score")
def score_lines(
    file: File = None,
    preset: Annotated[
        str, typer.Option(help="a preset's name (see `mentor reward presets`) or a YAML file")
    ] = "flexible",
    judge: Annotated[str, typer.Option(help="math, qa_em or qa_sub_em")] = "math",
) -> None:
    """Total reward. In: {trajectory, references[, answers][, tools]}; out: {total, components, reference_index, excluded}.

    ``tools``: OpenAI tool objects, whose schemas say what an omitted argument stands for; without it the built-in ones.
    """

    def work(row: Row) -> Any:
        trajectory = parse_model(Trajectory, take(row, "trajectory", dict, "a trajectory"), "trajectory")
        given = take(row, "references", list, "a list of references")
        references = [parse_model(Reference, r, f"references.{n}") for n, r in enumerate(given)]
        answers = take(row, "answers", list, "a list of strings", default=[])
        if not all(isinstance(answer, str) for answer in answers):
            raise UserError(f"answers is {answers!r}", field="answers", allowed="a list of strings")
        return score(trajectory, references, spec, judge_answer, answers, _offered(row))

    with clear_errors():
        spec, judge_answer = load_preset(preset), make_judge(judge)
        process_lines(file, work)


def _offered(row: Row) -> tuple[ToolSpec, ...]:
    if "tools" not in row:
        return (*MATH_TOOLS, WIKIPEDIA_SEARCH)
    schemas = tuple(take(row, "tools", list, "a list of OpenAI tool objects"))
    return ToolRegistry().for_question(
        parse_model(Question, {"id": "", "question": "", "func_schemas": schemas}, "tools")
    )


@app.command()
def presets() -> None:
    """Names and contents of the presets, each a YAML to copy."""
    for name in preset_names():
        typer.echo(f"{name}: {load_preset(name).model_dump_json(exclude={'name'})}")
