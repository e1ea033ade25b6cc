"""``mentor teach run``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mentor.cli.lines import clear_errors

if TYPE_CHECKING:
    from mentor_teacher.spec import TeacherSpec


def run(
    spec: Annotated[Path, typer.Argument(help="YAML with a teacher's spec; the options replace its fields")],
    output: Annotated[
        Path | None, typer.Option(help="the run's folder; the same again goes on where it stopped")
    ] = None,
    submit: Annotated[str | None, typer.Option(help="URL of a teacher service: run it there, as a job")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="estimate samples, tokens, money and time from a few questions")
    ] = False,
    probe_questions: Annotated[int, typer.Option(min=1, max=1000, help="that a dry run asks")] = 8,
    max_questions: Annotated[int | None, typer.Option(min=1)] = None,
    samples: Annotated[int | None, typer.Option(min=1, max=256, help="per question, at most")] = None,
    concurrency: Annotated[
        str | None, typer.Option(help="trajectories in flight, or auto: as many as the endpoints bear")
    ] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="FIELD=VALUE of the spec, value in YAML")] = None,
) -> None:
    """Have a teacher solve questions with tools, and keep what is right, here in the foreground or as a job of a service.

    Tools need a sandbox (and a retriever, for searches): `mentor up` starts both. Ctrl-C keeps what is done.
    """
    changes = {
        "max_questions": max_questions, "samples": samples, "concurrency": concurrency,
        "dry_run": probe_questions if dry_run else None,
    }  # fmt: skip
    with clear_errors():
        from mentor_teacher.commands.foreground import build_spec, run_here, run_there

        built = build_spec(spec, changes, set_ or ())
        raise typer.Exit(run_there(built, submit) if submit else _here(built, output, run_here))


def _here(spec: TeacherSpec, output: Path | None, run_here: Any) -> int:
    import time

    return int(run_here(spec, output or Path("runs") / f"teach-{time.strftime('%Y%m%d-%H%M%S')}"))
