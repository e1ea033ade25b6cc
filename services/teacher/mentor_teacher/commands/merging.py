"""``mentor teach merge``: several data sets as one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mentor.cli.lines import clear_errors
from mentor_teacher.commands.importing import MaxReferences, Selection, Split


def merge(
    folders: Annotated[list[Path], typer.Argument(help="data sets", metavar="FOLDER...")],
    output: Annotated[Path, typer.Option(help="folder of the union")],
    selection: Selection = "fewest_calls",
    max_references: MaxReferences = 4,
    split: Split = None,
) -> None:
    """Join data sets: a question that occurs twice becomes one with the samples of both, and where it came from is kept.

    The same question with other answers or tools in two folders is a conflict, and refused.
    """
    with clear_errors():
        from mentor_teacher.importing import shares_of
        from mentor_teacher.merging import merge_datasets
        from mentor_teacher.selections import SELECTIONS

        SELECTIONS.get(selection, "--selection")
        summary = merge_datasets(
            folders, output, selection=selection, most=max_references, shares=shares_of(split or ())
        )
    typer.echo(
        f"{summary['questions']} questions, {summary['questions_with_references']} with references, "
        f"{summary['trajectories']} trajectories: {output}"
    )
