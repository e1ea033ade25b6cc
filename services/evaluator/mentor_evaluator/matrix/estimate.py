"""What an evaluation would cost: prompts counted, the rest estimated from a few samples of every cell.

Tokens, seconds and money scale with a cell's mean over its probed samples; the interval is Student's t over those samples,
so that it says how little a few samples know. Seconds are of model and tools, divided by what runs at once.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from mentor.analysis.estimates import Range, scaled, shown
from mentor.analysis.tokens import generated_tokens, prompt_tokens
from mentor.rollout.solve import Unwatched
from mentor.trajectory import Frozen, Trajectory
from mentor_evaluator.matrix.draw import draw_matrix
from mentor_evaluator.matrix.plan import Cell, plan
from mentor_evaluator.matrix.spec import EvaluationSpec
from mentor_evaluator.runs import CellFolder, cell_folder


class CellEstimate(Frozen):
    """What a cell would take. Without probed samples only ``prompts`` is known."""

    cell: str
    prompts: int
    probed: int
    prompt_tokens: Range | None = None
    generated_tokens: Range | None = None
    seconds: Range | None = None
    cost: Range | None = None


def estimate(spec: EvaluationSpec, samples: int) -> list[CellEstimate]:
    """Estimates by cell.

    Args:
        samples: questions probed per cell, one sample each, with the evaluation's own settings. 0 asks no model.

    Raises:
        UserError: the spec is wrong, or a model cannot be used.
    """
    whole = plan(spec)
    if not samples:
        return [_counted(cell, spec) for cell in whole]
    few = spec.model_copy(update={"max_questions": samples, "samples": 1, "max_infrastructure_share": 1.0})
    with tempfile.TemporaryDirectory(prefix="mentor-dry-run-") as folder:
        run = Path(folder)
        draw_matrix(few, plan(few), run, Unwatched(run))
        return [_estimated(cell, spec, _probed(cell, run)) for cell in whole]


def _probed(cell: Cell, run: Path) -> list[Trajectory]:
    folder = CellFolder(cell_folder(run, cell.key), cell.model.name, cell.planned.name, cell.arm.name)
    return [trajectory for trajectory in folder.trajectories if not trajectory.failed]


def _counted(cell: Cell, spec: EvaluationSpec) -> CellEstimate:
    return CellEstimate(cell=cell.key, prompts=len(cell.questions) * spec.samples, probed=0)


def _estimated(cell: Cell, spec: EvaluationSpec, probed: Sequence[Trajectory]) -> CellEstimate:
    counted = _counted(cell, spec)
    if not probed:
        return counted
    prompt, generated = [prompt_tokens(t) for t in probed], [generated_tokens(t) for t in probed]
    seconds = [t.duration_s / spec.slots for t in probed]
    return counted.model_copy(
        update={
            "probed": len(probed),
            "prompt_tokens": scaled(prompt, counted.prompts),
            "generated_tokens": scaled(generated, counted.prompts),
            "seconds": scaled(seconds, counted.prompts),
            "cost": scaled([cell.model.prices.of(t) for t in probed], counted.prompts),
        }
    )


def print_estimate(cells: Sequence[CellEstimate], console: Console) -> None:
    """Print them, and their sums."""
    table = Table(title="estimate with 95% interval over the probed samples")
    for column in ("cell", "prompts", "probed", "prompt tokens", "generated tokens", "seconds", "cost"):
        table.add_column(column, justify="left" if column == "cell" else "right")
    for cell in cells:
        ranges = (cell.prompt_tokens, cell.generated_tokens, cell.seconds, cell.cost)
        table.add_row(cell.cell, str(cell.prompts), str(cell.probed), *(shown(found) for found in ranges))
    console.print(table)
    console.print(f"{sum(cell.prompts for cell in cells)} samples in {len(cells)} cells")
