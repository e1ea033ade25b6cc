"""One run in the foreground, with a progress bar: ``python -m mentor_trainer.train SPEC.yaml [--output DIR]``."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from mentor.errors import MentorError
from mentor_trainer.alarms import Watch
from mentor_trainer.config import TrainSpec, load_spec
from mentor_trainer.events import TrainEvent
from mentor_trainer.run import TrainResult, run_training


def foreground(arguments: list[str]) -> int:
    """Run a spec file; returns the exit code: 0 trained, 3 stopped on request."""
    parser = argparse.ArgumentParser(prog="mentor_trainer.train", description="Train a student from a spec file.")
    parser.add_argument("spec", help="YAML file; see configs/")
    parser.add_argument("--output", help="output folder, instead of the spec's output_dir")
    parser.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE", help="replace a field of the spec")
    options = parser.parse_args(arguments)
    spec = load_spec(options.spec, os.environ, **_changes(options.set), output_dir=options.output)
    console = Console(stderr=True)
    result = _run(spec, console)
    if result.model is None:
        console.print(f"stopped after step {result.step} of {result.total_steps}; run again to go on")
        return 3
    console.print(f"trained {result.step} steps in {result.seconds:.0f} s: {result.model}")
    return 0


def _changes(pairs: list[str]) -> dict[str, object]:
    import yaml

    return {name: yaml.safe_load(value) for name, _, value in (pair.partition("=") for pair in pairs)}


def _run(spec: TrainSpec, console: Console) -> TrainResult:
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    attempt = next_attempt(Path(spec.output_dir))
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as bar:
        task = bar.add_task(f"{spec.name}: starting", total=None)

        watch = Watch()

        def show(event: TrainEvent) -> None:
            for alarm in watch.see(event):
                bar.console.print(f"alarm at step {alarm.step}: {alarm.message}. To try: {alarm.advice}", markup=False)
            description = event.message.partition(": ")[2] or "training"
            bar.update(task, total=event.total_steps, completed=event.step, description=description)

        return run_training(spec, attempt, show, should_stop=stop.is_set)


def next_attempt(output: Path) -> Path:
    """A folder for the next attempt at a run; created by ``run_training`` once the spec has passed."""
    known = [int(p.name) for p in (output / "attempts").glob("[0-9]*") if p.name.isdigit()]
    return output / "attempts" / f"{max(known, default=0) + 1:04d}"


def main() -> int:
    """The command line. Ctrl-C and SIGTERM stop the run with a checkpoint."""
    try:
        return foreground(sys.argv[1:])
    except MentorError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
