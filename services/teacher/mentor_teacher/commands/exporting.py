"""``mentor teach export``: one kind of file from a data set."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from mentor.cli.lines import clear_errors
from mentor_teacher.commands.importing import Split


class Form(StrEnum):
    """What can be written."""

    REFERENCES = "references"
    SFT = "sft"
    PREFERENCES = "preferences"


def export(
    folder: Annotated[Path, typer.Argument(help="a data set", metavar="FOLDER")],
    form: Annotated[
        Form, typer.Option("--as", help="references: the published parquet; sft and preferences: for TRL, verl")
    ],
    output: Annotated[Path, typer.Option(help="folder for the files")],
    system: Annotated[str | None, typer.Option(help="system message in place of the model's own")] = None,
    split: Split = None,
) -> None:
    """Write training files from a data set, with a system message or splits of your choice."""
    with clear_errors():
        from mentor_teacher.exporting import export_dataset
        from mentor_teacher.importing import shares_of

        files = export_dataset(folder, str(form), output, system, shares_of(split or ()))
    for file in files:
        typer.echo(file)
