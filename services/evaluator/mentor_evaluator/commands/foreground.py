"""An evaluation in the foreground: a live table, Ctrl-C keeps what is done."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table

from mentor.cli.console import wide_console
from mentor.data import write_text
from mentor.jobs.handler import Stopped
from mentor.local.progress import new_progress
from mentor_evaluator.commands.listing import print_matrix
from mentor_evaluator.matrix.draw import draw_matrix
from mentor_evaluator.matrix.job import prepare
from mentor_evaluator.matrix.results import matrix_report
from mentor_evaluator.matrix.spec import EvaluationSpec
from mentor_evaluator.records import write_records
from mentor_evaluator.runs import REPORT, open_run

_STOPPED = 3


class LiveContext:
    """What the job's context is to a job: progress, counters, a request to stop. Shown on the terminal."""

    def __init__(self, workdir: Path, console: Console) -> None:
        self.workdir = workdir
        self._stop = False
        self._accuracies: dict[str, float] = {}
        self._bars = new_progress(console)
        self._bar = self._bars.add_task("evaluation", total=1.0, message="")
        self.live = Live(self._shown(), console=console, refresh_per_second=4)

    def progress(self, fraction: float, message: str = "", **metrics: Any) -> None:
        self._accuracies |= {name.removesuffix(" accuracy"): value for name, value in metrics.items()}
        self._bars.update(self._bar, completed=fraction, message=message)
        if metrics:
            self.live.update(self._shown())

    def tell(self, message: str, **metrics: Any) -> None:
        """A word from beside the work: of a model server that starts."""
        if message:
            self._bars.update(self._bar, message=message)

    def count(self, name: str, amount: float = 1.0, **labels: str) -> None:
        """Nobody scrapes a command."""

    def should_stop(self) -> bool:
        return self._stop

    def save(self) -> None:
        """What is journalled is on disk."""

    def stop(self, *_: object) -> None:
        """Ask to stop."""
        self._stop = True

    def _shown(self) -> Group:
        table = Table("done", "accuracy")
        for key, accuracy in self._accuracies.items():
            table.add_row(key, f"{100 * accuracy:.1f}%")
        return Group(table, self._bars) if self._accuracies else Group(self._bars)


def run_here(spec: EvaluationSpec, output: Path | None, records: Path | None = None) -> int:
    """Run it; the exit code is 0, or 3 where it was stopped: the same command goes on.

    Args:
        output: the run's folder; one of its own under ``runs`` where None.
        records: a file to write the samples into, in the published shape.

    Raises:
        MentorError: the spec is wrong, or too much was lost.
    """
    console = Console(stderr=True)
    folder = output or Path("runs") / f"eval-{time.strftime('%Y%m%d-%H%M%S')}"
    cells = prepare(spec, folder)
    console.print(f"{len(cells)} cells, {sum(len(c.questions) for c in cells) * spec.samples} samples: {folder}")
    context = LiveContext(folder, console)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, context.stop)
    with context.live:
        try:
            complete = draw_matrix(spec, cells, folder, context)
        except Stopped:  # while a model server was being started
            complete = False
    if not complete:
        console.print(f"stopped; `mentor eval run ... --output {folder}` goes on from here")
        return _STOPPED
    report = matrix_report(spec, cells, folder)
    write_text(folder / REPORT, json.dumps(report, indent=2) + "\n")
    if records is not None:
        write_records(open_run(folder).cells(), records)
    print_matrix(report, wide_console())
    return 0
