"""``mentor teach import``: a data set of traces that exist already."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mentor.cli.lines import clear_errors

Filters = Annotated[
    list[str] | None,
    typer.Option("--filter", help="`mentor list filter`: a NAME, or '{name: NAME, OPTION: VALUE}'; repeat"),
]
Selection = Annotated[str, typer.Option(help="`mentor list selection`")]
MaxReferences = Annotated[int, typer.Option(min=1, max=64, help="per question")]
Split = Annotated[
    list[str] | None, typer.Option(help="NAME=SHARE of the questions, such as train=0.9; repeat, shares are 1 together")
]


def import_(
    file: Annotated[Path, typer.Argument(help="what `mentor list importer` reads")],
    importer: Annotated[str, typer.Option(help="`mentor list importer`")],
    output: Annotated[Path, typer.Option(help="folder of the data set")],
    option: Annotated[
        list[str] | None, typer.Option(help="NAME=VALUE of the importer, such as question=text; repeat")
    ] = None,
    filters: Filters = None,
    selection: Selection = "fewest_calls",
    max_references: MaxReferences = 4,
    split: Split = None,
) -> None:
    """Make a data set of traces that exist already: people's, or another model's. No model is asked.

    Writes what a job's artefact `dataset` holds (docs/teacher.md), and rejected.txt with a reason for every row that
    could not be taken.
    """
    with clear_errors():
        from mentor_teacher.importing import import_dataset

        summary = import_dataset(
            file, importer, option or (), output, filters or (), selection, max_references, split or ()
        )
    typer.echo(
        f"{summary['questions']} questions, {summary['questions_with_references']} with references, "
        f"{summary['rejected']} rows rejected: {output}"
    )
