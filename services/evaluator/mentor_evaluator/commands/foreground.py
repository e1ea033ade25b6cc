"""An evaluation in the foreground: a live table, Ctrl-C keeps what is done."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from mentor.data import write_text
from mentor.jobs.handler import Stopped
from mentor.local.foreground import STOPPED, LiveContext
from mentor_evaluator.commands.listing import print_matrix, wide
from mentor_evaluator.matrix.draw import draw_matrix
from mentor_evaluator.matrix.job import prepare
from mentor_evaluator.matrix.results import matrix_report
from mentor_evaluator.matrix.spec import EvaluationSpec
from mentor_evaluator.records import write_records
from mentor_evaluator.runs import REPORT, open_run

_ACCURACY = " accuracy"


def _accuracies(figures: dict[str, Any]) -> Table | None:
    found = {name.removesuffix(_ACCURACY): value for name, value in figures.items() if name.endswith(_ACCURACY)}
    if not found:
        return None
    table = Table("done", "accuracy")
    for key, accuracy in found.items():
        table.add_row(key, f"{100 * accuracy:.1f}%")
    return table


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
    context = LiveContext(folder, console, "evaluation", _accuracies)
    context.listen_for_stop()
    with context.live:
        try:
            complete = draw_matrix(spec, cells, folder, context)
        except Stopped:  # while a model server was being started
            complete = False
    if not complete:
        console.print(f"stopped; `mentor eval run ... --output {folder}` goes on from here")
        return STOPPED
    report = matrix_report(spec, cells, folder)
    write_text(folder / REPORT, json.dumps(report, indent=2) + "\n")
    if records is not None:
        write_records(open_run(folder).cells(), records)
    print_matrix(report, wide())
    return 0
