"""``mentor teach inspect``: what is in a data set, and why the rest is not."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mentor.cli.lines import clear_errors


def inspect(
    folder: Annotated[Path, typer.Argument(help="a data set", metavar="FOLDER")],
    examples: Annotated[int, typer.Option(min=0, max=100, help="shown of what each filter dropped")] = 2,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object in place of tables")] = False,
) -> None:
    """Show what a data set holds, what became of every trajectory, and examples of what each filter dropped and why."""
    with clear_errors():
        from mentor_teacher.inspecting import inspect_dataset, show

        found, rejected = inspect_dataset(folder, examples)
    if as_json:
        typer.echo(found.model_dump_json())
        return
    show(found, rejected)
