"""Commands of local mode: single services, the whole stack, the demo, a user's own distillation, the doctor."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from mentor.cli.console import wide_console
from mentor.cli.lines import clear_errors
from mentor.data.files import read_mapping
from mentor.errors import UserError
from mentor.local.layout import SERVICES, WORKERS, ModelServer, StackSpec, handler_flags, is_open

Home = Annotated[str, typer.Option(envvar="MENTOR_HOME", help="folder of the stack's data, logs and Redis")]
Offset = Annotated[int, typer.Option(envvar="MENTOR_PORT_OFFSET", min=0, max=10_000, help="added to every port")]
_SERVE = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}


def add_commands(app: typer.Typer) -> None:
    """Add the commands of this module to the root."""
    app.command(context_settings=_SERVE)(serve)
    app.command(context_settings=_SERVE)(index)
    for command in (up, down, status, demo, distill, doctor):
        app.command()(command)


def serve(context: typer.Context, name: Annotated[str, typer.Argument(help="service to start")]) -> None:
    """Start one service alone: sandbox, retriever, teacher, trainer, evaluator, console.

    `model` serves a model; NAME-worker runs jobs. Everything after the name goes to it:
    `mentor serve retriever --config FILE --port 8081`.
    """
    modules = {service: f"mentor_{service}" for service in SERVICES} | {"model": "mentor.inference.local"}
    command = [sys.executable, "-m"]
    with clear_errors():
        if name in modules:
            command += [modules[name]]
        elif name.removesuffix("-worker") in WORKERS and name.endswith("-worker"):
            kind = name.removesuffix("-worker")
            command += ["mentor.jobs.worker", "--name", kind, *handler_flags(WORKERS[kind])]
        else:
            known = ", ".join([*modules, *(f"{worker}-worker" for worker in WORKERS)])
            raise UserError(f"there is no service {name!r}", field="NAME", allowed=known)
    os.execv(sys.executable, [*command, *context.args])


def index(context: typer.Context) -> None:
    """Build, inspect, estimate, evaluate and compare the retriever's indexes, export encoders; `mentor index --help`."""
    os.execv(sys.executable, [sys.executable, "-m", "mentor_retriever.tools", *context.args])


def up(
    home: Home = ".mentor",
    port_offset: Offset = 0,
    corpus: Annotated[Path | None, typer.Option(help="JSON lines of {id, contents} to search")] = None,
    model: Annotated[list[str] | None, typer.Option(help="NAME=FOLDER: serve this model too; may be repeated")] = None,
    jobs: Annotated[int, typer.Option(min=1, max=64, help="jobs that each service runs at once")] = 1,
) -> None:
    """Start the services, their workers, the console and a Redis as local processes."""
    from mentor.local import stack

    console = wide_console()
    with clear_errors():
        spec = StackSpec(
            home=home,
            port_offset=port_offset,
            corpus=str(corpus) if corpus else None,
            models=_models(model or []),
            jobs=jobs,
        )
        stack.up(spec, report=console.print)
        for name in SERVICES:
            rest, rpc = SERVICES[name]
            console.print(
                f"{name:<10} {spec.url(name)}" + (f"  gRPC {spec.target(name)}" if rpc != rest else "  in a browser")
            )
        if is_open(os.environ):
            console.print("no keys are set: every user and program of this machine is an operator (docs/security.md)")
        for server in spec.models:
            console.print(f"{server.name:<10} http://127.0.0.1:{server.port + port_offset}/v1")


def _models(pairs: list[str]) -> tuple[ModelServer, ...]:
    from mentor.local.layout import MODEL_PORT

    servers = []
    for index, pair in enumerate(pairs):
        name, sign, path = pair.partition("=")
        if not sign or not name or not Path(path, "config.json").is_file():
            raise UserError(f"--model {pair}", field="model", allowed="NAME=FOLDER of a Hugging Face model")
        servers.append(ModelServer(name=name, path=path, port=MODEL_PORT + index))
    return tuple(servers)


def down(home: Home = ".mentor") -> None:
    """Stop the stack and leave nothing behind but its data."""
    from mentor.local import stack

    with clear_errors():
        count = stack.down(StackSpec(home=home))
        typer.echo(f"stopped {count} processes" if count else "nothing was running")


def status(home: Home = ".mentor") -> None:
    """Whether the stack's processes live and are ready; exit code 1 if not."""
    from mentor.local import stack

    rows = stack.status(StackSpec(home=home))
    table = Table("process", "pid", "alive", "ready")
    for row in rows:
        table.add_row(*(str(value) for value in row.values()))
    wide_console().print(table if rows else "nothing is running")
    if not rows or not all(row["ready"] for row in rows):
        raise typer.Exit(1)


def demo(
    full: Annotated[bool, typer.Option("--full", help="also an SFT student and a sparse-reward student")] = False,
    seed: Annotated[int, typer.Option(min=0, help="of sampling and training")] = 0,
    output: Annotated[Path, typer.Option(help="folder for the report")] = Path("runs/demo"),
    home: Home = ".mentor",
    port_offset: Offset = 0,
) -> None:
    """The whole loop on the tiny world: teacher, training, evaluation before and after, report."""
    from mentor.local.demo import demo_specs, run_demo

    with clear_errors():
        spec, stack = demo_specs(
            full=full, seed=seed, output=output, stack=StackSpec(home=home, port_offset=port_offset)
        )
        run_demo(spec, stack, wide_console())


def distill(
    spec: Annotated[Path, typer.Argument(help="YAML; see examples/distill/spec.yaml")],
    output: Annotated[Path | None, typer.Option(help="folder for the report; default: the spec's")] = None,
) -> None:
    """Questions and tools of your own to a trained student and a report, as one chain of jobs on running services."""
    from mentor.local.chain import run_distill
    from mentor.local.distill import parse_distill

    with clear_errors():
        values = read_mapping(spec)
        if output is not None:
            values["output"] = str(output.resolve())
        run_distill(parse_distill(values, spec.resolve().parent), wide_console())


def doctor(
    home: Home = ".mentor",
    port_offset: Offset = 0,
    gpu: Annotated[
        bool, typer.Option("--gpu", help="test the GPU against the CPU with the tiny student: some minutes, offline")
    ] = False,
    device: Annotated[str, typer.Option(help="with --gpu: torch's name of the device")] = "cuda:0",
) -> None:
    """What this machine can and cannot do, and what to do about it; exit code 1 if local mode cannot run."""
    if gpu:
        _doctor_gpu(device)
        return
    from mentor.local.doctor import examine

    table = Table("check", "", "found", "what to do")
    findings = examine(StackSpec(home=home, port_offset=port_offset))
    marks = {"ok": "[green]ok[/green]", "warn": "[yellow]warn[/yellow]", "fail": "[red]fail[/red]"}
    for finding in findings:
        table.add_row(finding.name, marks[finding.level], finding.found, finding.advice)
    wide_console().print(table)
    if any(finding.level == "fail" for finding in findings):
        raise typer.Exit(1)


def _doctor_gpu(device: str) -> None:
    """Exit code 1 if a check failed or there is no such device."""
    from mentor.local.gpu import examine_gpu

    console = wide_console()
    with clear_errors():
        checks = examine_gpu(
            device, lambda check: console.print(f"{check.name}: {check.outcome} ({check.seconds:.0f} s)")
        )
    table = Table("check", "", "found", "seconds")
    colours = {"passed": "green", "failed": "red", "not installed": "yellow"}
    for check in checks:
        colour = colours[check.outcome]
        table.add_row(check.name, f"[{colour}]{check.outcome}[/{colour}]", escape(check.found), f"{check.seconds:.0f}")
    console.print(table)
    if any(check.outcome == "failed" for check in checks) or checks[-1].name == "device":
        raise typer.Exit(1)
