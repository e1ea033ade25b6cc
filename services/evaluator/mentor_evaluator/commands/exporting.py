"""``mentor eval export``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mentor.cli.lines import clear_errors


def add_commands(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(export)


def export(
    run: Annotated[Path, typer.Argument(help="the folder of a run")],
    output: Annotated[Path, typer.Option(help="folder to write to")],
    forms: Annotated[
        list[str], typer.Option("--as", help="records, inspect, lm-eval, markdown, latex, figures; repeat")
    ],
) -> None:
    """Write a run in other forms (`mentor list exporter` shows them)."""
    with clear_errors():
        from mentor_evaluator.exports import EXPORTERS
        from mentor_evaluator.runs import open_run

        opened = open_run(run, "RUN")
        exporters = [EXPORTERS.get(name, "--as") for name in forms]
        for exporter in exporters:
            for path in exporter.export(opened, output):
                typer.echo(path)
