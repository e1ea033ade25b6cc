"""``mentor eval run`` and ``suites``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mentor.cli.lines import clear_errors

if TYPE_CHECKING:
    from mentor_evaluator.matrix.spec import EvaluationSpec

Models = Annotated[
    list[str] | None, typer.Option("--model", help="NAME=FOLDER, or NAME=ID@URL of an OpenAI-compatible server; repeat")
]
Suites = Annotated[
    list[str] | None, typer.Option("--suite", help="a suite, a group, or a suite.yaml of your own; repeat")
]


def add_commands(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(run)
    app.command()(suites)


def run(
    spec: Annotated[Path | None, typer.Argument(help="YAML with an evaluation; the options replace its fields")] = None,
    model: Models = None,
    suite: Suites = None,
    engine: Annotated[
        str | None, typer.Option(help="start vllm, sglang or local for models that are folders (`mentor list engine`)")
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="the run's folder; the same again goes on where it stopped")
    ] = None,
    samples: Annotated[int | None, typer.Option(min=1, max=256, help="per question")] = None,
    tools: Annotated[str | None, typer.Option(help="with, without or both: both gives the tool effect")] = None,
    thinking: Annotated[str | None, typer.Option(help="as_is, on, off or both")] = None,
    max_questions: Annotated[int | None, typer.Option(min=1, help="of each suite")] = None,
    temperature: Annotated[float | None, typer.Option(min=0, max=10)] = None,
    max_tokens: Annotated[int | None, typer.Option(min=1, help="of a turn")] = None,
    concurrency: Annotated[
        str | None, typer.Option(help="trajectories in flight, or auto: as many as the endpoints bear")
    ] = None,
    reference: Annotated[str | None, typer.Option(help="a teacher's trajectories, for the alignment score")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="FIELD=VALUE of the spec, value in YAML")] = None,
    skip_broken: Annotated[
        bool, typer.Option("--skip-broken", help="leave malformed rows out, and count them")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="count prompts; estimate tokens, time and cost from a few samples")
    ] = False,
    probe_samples: Annotated[int, typer.Option(min=0, help="samples per cell that a dry run draws; 0 only counts")] = 4,
    submit: Annotated[str | None, typer.Option(help="URL of an evaluator service: run it there, as a job")] = None,
) -> None:
    """Evaluate models on suites, here in the foreground, or as a job of an evaluator service.

    Tools need a sandbox (and a retriever, for QA): `mentor up` starts both. Ctrl-C keeps what is done.
    """
    changes = {
        "samples": samples, "tools": tools, "thinking": thinking, "max_questions": max_questions,
        "concurrency": concurrency, "reference": reference, "skip_broken": skip_broken or None,
    }  # fmt: skip
    sampling = {"temperature": temperature, "max_tokens": max_tokens}
    with clear_errors():
        from mentor_evaluator.commands.building import build_spec

        built = build_spec(spec, model or (), suite or (), changes, sampling, set_ or (), engine)
        if submit:
            _submit(built, submit)
        elif dry_run:
            _dry_run(built, probe_samples)
        else:
            _foreground(built, output)


def suites(
    folder: Annotated[Path | None, typer.Option(help="where data sets lie; default: MENTOR_DATA, or data")] = None,
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """List the suites: size, groups, and whether their data are here."""
    with clear_errors():
        from mentor_evaluator.commands.listing import suite_rows, suite_table

        rows = suite_rows(folder)
        if as_json:
            import json

            typer.echo("\n".join(json.dumps(row) for row in rows))
        else:
            suite_table(rows)


def _foreground(spec: EvaluationSpec, output: Path | None) -> None:
    from mentor_evaluator.commands.foreground import run_here

    raise typer.Exit(run_here(spec, output))


def _dry_run(spec: EvaluationSpec, samples: int) -> None:
    from mentor_evaluator.commands.listing import wide
    from mentor_evaluator.matrix.estimate import estimate, print_estimate

    print_estimate(estimate(spec, samples), wide())


def _submit(spec: EvaluationSpec, url: str) -> None:
    from rich.console import Console

    from mentor.cli.specs import uploaded
    from mentor.jobs.client import JobClient
    from mentor.local.progress import follow
    from mentor_evaluator.commands.listing import print_matrix

    client = JobClient(url)
    console = Console()
    job = client.submit("evaluation", uploaded(spec, client))
    console.print(job.id)
    ended = follow(client, job, "evaluation", console)
    if ended.result:
        print_matrix(ended.result, console)
    raise typer.Exit(0 if ended.result else 1)
