"""``mentor experiment``: a grid of methods, worlds, students and seeds, run as jobs, resumed, told about and reported."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mentor.cli.console import wide_console
from mentor.cli.lines import clear_errors

if TYPE_CHECKING:
    from rich.console import Console

    from mentor.experiment.running.lanes import Outcome
    from mentor.experiment.spec import ExperimentSpec

app = typer.Typer(
    help="Experiments: a grid of methods, worlds, students and seeds, and what it says about claims written down before.",
    no_args_is_help=True,
)
Grid = Annotated[Path, typer.Argument(help="the grid file (YAML): worlds, students, methods, seeds, claims")]
WorkFolder = Annotated[
    Path | None, typer.Option(help="where finished steps are kept; default: .mentor/experiments/NAME")
]
AnyCode = Annotated[
    bool, typer.Option("--any-code", help="results of other versions of the code count too, if all else is the same")
]
Only = Annotated[
    list[str] | None,
    typer.Option(help="a method, or WORLD.STUDENT.METHOD.sSEED, with * and ?; may be repeated"),
]
Offset = Annotated[
    int | None, typer.Option(min=0, max=10_000, help="ask the local stack at this offset, not the grid file's services")
]
_STOPPED = 3


@app.command()
def plan(file: Grid, only: Only = None, work: WorkFolder = None, any_code: AnyCode = False) -> None:
    """Say what a grid would take, without running anything: runs, jobs, steps, tokens, GPU hours, money.

    Every assumption is printed beside the figures; `costs` in the grid file sets them. Students need not be here: a path
    that is no folder is taken as a model's name. Specs are checked against the services' own schemas where those answer;
    exit code 1 if one is refused.
    """
    from mentor.experiment.dryrun import print_plan
    from mentor.experiment.running.session import work_folder
    from mentor.experiment.spec import read_experiment

    with clear_errors():
        spec = read_experiment(file)
        good = print_plan(spec, only or [], work_folder(spec, work), wide_console(), any_code=any_code)
    if not good:
        raise typer.Exit(1)


@app.command()
def run(
    file: Grid,
    resume: Annotated[
        bool, typer.Option(help="keep runs and steps that are done, find jobs again; --no-resume: all anew")
    ] = True,
    only: Only = None,
    lanes: Annotated[int | None, typer.Option(min=1, help="jobs side by side; default: the grid file's")] = None,
    minutes: Annotated[float | None, typer.Option(min=0, help="start no further run after so long")] = None,
    any_code: AnyCode = False,
    work: WorkFolder = None,
    stack: Annotated[
        bool, typer.Option("--stack", help="start a local stack for it, and take it down at the end")
    ] = False,
    home: Annotated[str, typer.Option(envvar="MENTOR_HOME", help="with --stack: folder of its data")] = ".mentor",
    port_offset: Offset = None,
) -> None:
    """Run what is not done yet of a grid; what is done leaves a record in the grid's results folder.

    A run is done when its record was made of the very same specs, data and code: what changed is run again, and nothing
    else. Steps that several runs need (a teacher's data) are done once. The command may be killed at any moment: the same
    one goes on, and finds jobs again that went on without it. A failed run does not stop the others; it is tried again
    by the next command. Ctrl-C cancels the running jobs.

    Exit codes: 0 done, or out of --minutes; 1 some runs failed; 2 a bad grid file; 3 stopped.
    """
    from mentor.experiment.running.session import RunOptions, run_experiment
    from mentor.experiment.spec import read_experiment

    console = wide_console()
    with clear_errors():
        spec = read_experiment(file)
        chosen = tuple(only or ())
        options = RunOptions(
            only=chosen, resume=resume, any_code=any_code, lanes=lanes, minutes=minutes or None, work=work
        )
        with _services(spec, stack, home, port_offset, lanes or spec.lanes, console) as placed:
            outcome = run_experiment(placed, options, console, _listening())
    raise typer.Exit(_told(outcome, console))


@app.command()
def status(file: Grid, only: Only = None, work: WorkFolder = None, any_code: AnyCode = False) -> None:
    """Which seeds of every cell are done, failed, missing or stale, why runs failed, and how long the rest may take.

    stale: made of other specs or data; stale code: the same, by another version of the code.
    """
    from mentor.experiment.overview import print_status
    from mentor.experiment.running.session import work_folder
    from mentor.experiment.spec import read_experiment

    with clear_errors():
        spec = read_experiment(file)
        print_status(spec, only or [], work_folder(spec, work), wide_console(), any_code=any_code)


@app.command()
def report(
    file: Grid,
    output: Annotated[Path | None, typer.Option(help="folder for it; default: report/ in the results folder")] = None,
    any_code: AnyCode = False,
) -> None:
    """Say what the records are worth: rates with intervals, tests of the claims, verdicts, tables, figures, a page.

    Only records of what the grid file asks for now are taken; how many others there are is said.
    """
    from mentor.experiment.overview import usable_records
    from mentor.experiment.spec import read_experiment

    console = wide_console()
    with clear_errors():
        from mentor.experiment.findings import report as write

        spec = read_experiment(file)
        records = usable_records(spec, console, any_code=any_code)
        for path in write(spec, records, output or Path(spec.results, "report")):
            console.print(str(path), highlight=False)


@contextlib.contextmanager
def _services(
    spec: ExperimentSpec, stack: bool, home: str, offset: int | None, lanes: int, console: Console
) -> Iterator[ExperimentSpec]:
    """The grid with the addresses that count; with ``stack`` on services of its own for the duration of the block."""
    from mentor.experiment.running.stack import on_stack, own_stack
    from mentor.local.layout import StackSpec

    own = StackSpec(home=home, port_offset=offset or 0, jobs=lanes)
    with own_stack(own, console) if stack else contextlib.nullcontext():
        yield on_stack(spec, own) if stack or offset is not None else spec


def _listening() -> threading.Event:
    """Set by Ctrl-C and SIGTERM."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    return stop


def _told(outcome: Outcome, console: Console) -> int:
    """Say how it went; returns the exit code."""
    console.print(f"{len(outcome.through)} runs done, {len(outcome.failures)} failed, {outcome.left} left")
    for failure in outcome.failures:
        console.print(f"failed: {failure.run.label}: {failure.step}: {failure.error}", markup=False, highlight=False)
    if outcome.away:
        console.print(f"nothing more was tried: {outcome.away}", markup=False, highlight=False)
    if outcome.stopped:
        console.print("stopped: the same command goes on")
        return _STOPPED
    if outcome.left and not outcome.failures:
        console.print("the same command goes on")
    return 1 if outcome.failures else 0
