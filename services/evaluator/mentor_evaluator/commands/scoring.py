"""``mentor eval score``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mentor.cli.console import wide_console
from mentor.cli.lines import clear_errors


def add_commands(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(score)


def score(
    files: Annotated[
        list[Path],
        typer.Argument(
            help="records, trajectories, FlashRAG's intermediate_data.json, BFCL result files, or folders of them"
        ),
    ],
    output: Annotated[Path, typer.Option(help="folder of the run to write")],
    model: Annotated[str | None, typer.Option(help="its name, where the files do not say (or say otherwise)")] = None,
    suite: Annotated[str | None, typer.Option(help="likewise; a known suite's name brings its scorer")] = None,
    scorer: Annotated[
        str | None, typer.Option(help="of `mentor list scorer`; default: the suite's, else by ability")
    ] = None,
    questions: Annotated[Path | None, typer.Option(help="for trajectories without questions.jsonl beside them")] = None,
    skip_broken: Annotated[bool, typer.Option("--skip-broken", help="leave broken lines out, and count them")] = False,
) -> None:
    """Judge existing results again and report them as a run."""
    with clear_errors():
        from mentor_evaluator.commands.listing import print_matrix
        from mentor_evaluator.scoring.files import read_files
        from mentor_evaluator.scoring.score import Naming, score_files

        found = read_files(files, questions, skip_broken=skip_broken)
        report, agreement = score_files(found, output, Naming(model=model, suite=suite, scorer=scorer))
        print_matrix(report.model_dump(mode="json"), wide_console())
        for line in found.skipped:
            typer.echo(f"skipped: {line}", err=True)
        if agreement.samples:
            typer.echo(
                f"verdicts in the files: {agreement.same} of {agreement.samples} are the same; right here alone "
                f"{agreement.only_here}, there alone {agreement.only_there}"
            )
