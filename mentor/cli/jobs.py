"""``mentor jobs``: submit and follow long work on a running service."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from mentor.cli.console import wide_console
from mentor.cli.lines import clear_errors
from mentor.data.files import read_mapping
from mentor.errors import UserError
from mentor.jobs.model import Job, JobState
from mentor.local.layout import StackSpec

app = typer.Typer(help="Long work: teacher generation, training, evaluation.", no_args_is_help=True)
KINDS = {"teacher": "teacher", "train": "trainer", "evaluate": "evaluator", "evaluation": "evaluator"}
Url = Annotated[str | None, typer.Option(help="the service's URL; default: the local stack's")]
JobId = Annotated[str, typer.Argument(help="the job's id")]
Offset = Annotated[int, typer.Option(envvar="MENTOR_PORT_OFFSET", help="of the local stack")]


def _client(url: str | None, kind: str, offset: int) -> Any:
    from mentor.jobs.client import JobClient

    if url is None and kind not in KINDS:
        raise UserError(f"unknown kind {kind!r}", field="kind", allowed=", ".join(KINDS))
    return JobClient(url or StackSpec(port_offset=offset).url(KINDS[kind]), outage_s=5)


def _kind_of(job_id: str) -> str:
    """Ids begin with their kind."""
    return job_id.split("-", 1)[0]


@app.command()
def submit(
    kind: Annotated[str, typer.Argument(help="teacher, train, evaluate or evaluation")],
    spec: Annotated[Path, typer.Argument(help="YAML or JSON file with the spec")],
    key: Annotated[str | None, typer.Option(help="idempotency key: the same key gives the same job")] = None,
    wait: Annotated[bool, typer.Option("--wait", help="follow it to its end")] = False,
    url: Url = None,
    port_offset: Offset = 0,
) -> None:
    """Submit a job and print its id."""
    with clear_errors():
        client = _client(url, kind, port_offset)
        job = client.submit(kind, read_mapping(spec), key)
        typer.echo(job.id)
        if wait:
            _follow(client, job)


@app.command(name="list")
def list_jobs(
    kind: Annotated[str, typer.Argument(help="teacher, train, evaluate or evaluation")],
    url: Url = None,
    port_offset: Offset = 0,
) -> None:
    """Jobs of a kind, newest first."""
    with clear_errors():
        table = Table("id", "submitter", "state", "progress", "attempt", "message")
        for job in _client(url, kind, port_offset).newest():
            shown = (str(job.state), f"{job.progress:.0%}", str(job.attempt), job.error or job.message)
            table.add_row(job.id, job.submitter, *shown)
        wide_console().print(table)


@app.command()
def show(job_id: JobId, url: Url = None, port_offset: Offset = 0) -> None:
    """One job, as JSON."""
    with clear_errors():
        typer.echo(_client(url, _kind_of(job_id), port_offset).get(job_id).model_dump_json(indent=2))


@app.command()
def watch(job_id: JobId, url: Url = None, port_offset: Offset = 0) -> None:
    """Follow a job to its end; exit code 1 if it fails."""
    with clear_errors():
        client = _client(url, _kind_of(job_id), port_offset)
        _follow(client, client.get(job_id))


@app.command()
def logs(
    job_id: JobId,
    tail: Annotated[int, typer.Option(min=1, help="lines")] = 200,
    url: Url = None,
    port_offset: Offset = 0,
) -> None:
    """The end of a job's output."""
    with clear_errors():
        typer.echo(_client(url, _kind_of(job_id), port_offset).logs(job_id, tail), nl=False)


@app.command()
def cancel(job_id: JobId, url: Url = None, port_offset: Offset = 0) -> None:
    """Stop a queued or running job."""
    with clear_errors():
        typer.echo(_client(url, _kind_of(job_id), port_offset).cancel(job_id).model_dump_json(indent=2))


@app.command()
def resume(
    job_id: JobId,
    wait: Annotated[bool, typer.Option("--wait", help="follow it to its end")] = False,
    url: Url = None,
    port_offset: Offset = 0,
) -> None:
    """Queue a failed or cancelled job again: it goes on from its checkpoints."""
    with clear_errors():
        client = _client(url, _kind_of(job_id), port_offset)
        job = client.resume(job_id)
        typer.echo(job.id)
        if wait:
            _follow(client, job)


@app.command()
def artifacts(job_id: JobId, url: Url = None, port_offset: Offset = 0) -> None:
    """What a job has committed."""
    with clear_errors():
        for artifact in _client(url, _kind_of(job_id), port_offset).artifacts(job_id):
            typer.echo(json.dumps(artifact.model_dump()))


@app.command()
def fetch(
    job_id: JobId,
    name: Annotated[str, typer.Argument(help="the artefact's name")],
    target: Annotated[Path, typer.Argument(help="file to write; a folder comes as a tar file")],
    url: Url = None,
    port_offset: Offset = 0,
) -> None:
    """Download an artefact and check its digest; called again after a break, it goes on where it stopped."""
    with clear_errors():
        typer.echo(str(_client(url, _kind_of(job_id), port_offset).fetch(job_id, name, target)))


def _follow(client: Any, job: Job) -> None:
    from mentor.local.progress import follow

    ended = follow(client, job, job.kind)
    if ended.state is not JobState.SUCCEEDED:
        typer.echo(f"error: {job.id} {ended.state}: {ended.error or ''}", err=True)
        raise typer.Exit(1)
