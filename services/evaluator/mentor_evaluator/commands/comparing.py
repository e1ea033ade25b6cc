"""``mentor eval compare``, ``leaderboard`` and ``show``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mentor.cli.lines import clear_errors

Json = Annotated[bool, typer.Option("--json", help="print JSON")]


def add_commands(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(compare)
    app.command()(leaderboard)
    app.command()(show)


def compare(
    a: Annotated[str, typer.Argument(metavar="RUN_A[:MODEL]", help="the folder of a run, and a model of it")],
    b: Annotated[str, typer.Argument(metavar="RUN_B[:MODEL]", help="likewise; may be the same run")],
    even_if: Annotated[
        str,
        typer.Option(help="parts that may differ, with commas: questions,prompt,tools,sampling,limits,strategy,scorer"),
    ] = "",
    changed: Annotated[int, typer.Option(min=0, help="questions that changed sides to print, per suite")] = 5,
    seed: int = 0,
    as_json: Json = False,
) -> None:
    """Compare two models question by question: paired differences, McNemar, Holm, and what could have been found."""
    with clear_errors():
        from mentor_evaluator.commands.tables import print_comparison
        from mentor_evaluator.comparing import compare_runs
        from mentor_evaluator.comparing.sides import parse_side

        (one, model_a), (two, model_b) = parse_side(a, "RUN_A"), parse_side(b, "RUN_B")
        parts = [part.strip() for part in even_if.split(",") if part.strip()]
        found = compare_runs(one, two, model_a=model_a, model_b=model_b, even_if=parts, seed=seed)
        if as_json:
            typer.echo(found.model_dump_json(indent=2))
        else:
            print_comparison(found, changed)


def leaderboard(
    runs: Annotated[list[Path], typer.Argument(help="folders of runs")],
    arm: Annotated[str | None, typer.Option(help="only this way of asking, such as tools or no-tools")] = None,
    as_json: Json = False,
) -> None:
    """Rank the models of runs, with intervals, and say which differences to the best are significant."""
    with clear_errors():
        from mentor_evaluator.commands.tables import print_leaderboard
        from mentor_evaluator.comparing import leaderboard as rank
        from mentor_evaluator.runs import open_run

        found = rank([open_run(folder, "RUN") for folder in runs], arm=arm)
        if as_json:
            typer.echo(found.model_dump_json(indent=2))
        else:
            print_leaderboard(found)


def show(
    run: Annotated[Path, typer.Argument(help="the folder of a run, finished or not")],
    cell: Annotated[str | None, typer.Option(help="MODEL/SUITE/ARM: every figure of it")] = None,
    sample: Annotated[
        str | None, typer.Option(help="QUESTION or QUESTION:NUMBER of that cell: the conversation")
    ] = None,
    as_json: Json = False,
) -> None:
    """Show a run's matrix, a cell of it, or one sample."""
    with clear_errors():
        from mentor_evaluator.commands.showing import show_run

        show_run(run, cell, sample, as_json)
