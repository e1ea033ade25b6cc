"""From the journals of a run to its matrix of results."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mentor.analysis import CallsByQuestion, calls_by_question
from mentor.data import iter_trajectories, write_text
from mentor.grading import Verdict
from mentor.rollout.solve import CORRECT, VERDICT
from mentor.trajectory import Trajectory
from mentor_evaluator.bfcl.aggregate import Leaderboard
from mentor_evaluator.bfcl.sampling import leaderboards
from mentor_evaluator.matrix.plan import Cell, not_run
from mentor_evaluator.matrix.spec import EvaluationSpec
from mentor_evaluator.measures.matrix import run_report
from mentor_evaluator.measures.models import CellReport
from mentor_evaluator.report import build_report
from mentor_evaluator.runs import REPORT, CellFolder, cell_folder


def matrix_report(spec: EvaluationSpec, cells: Sequence[Cell], run: Path) -> dict[str, Any]:
    """The report of every cell, written beside its trajectories, and all of them, as JSON of ``RunReport``."""
    reference = _reference(spec)
    reports = {}
    for cell in cells:
        report = cell_report(spec, cell, run, reference)
        write_text(cell_folder(run, cell.key) / REPORT, report.model_dump_json(indent=2) + "\n")
        reports[cell.key] = report
    whole = run_report([_folder(cell, run) for cell in cells], reports)
    further = {"not_run": not_run(spec), "bfcl": _bfcl(spec, cells, run)}
    return whole.model_copy(update=further).model_dump(mode="json")


def cell_report(spec: EvaluationSpec, cell: Cell, run: Path, reference: CallsByQuestion | None) -> CellReport:
    """Figures of one cell."""
    trajectories = _folder(cell, run).trajectories
    asked = {question.id for question in cell.questions}
    known = {name: calls for name, calls in (reference or {}).items() if name in asked}
    report = build_report(
        cell.questions, trajectories, known or None, samples=spec.draw_spec(cell.model).samples,
        judge=cell.planned.suite.scorer, seed=spec.seed, prices=cell.model.prices,
    )  # fmt: skip
    return report.model_copy(
        update={
            "skipped_rows": len(cell.planned.loaded.skipped),
            "figures": cell.planned.suite.aggregate(scores(trajectories)),
            "groups": list(cell.planned.suite.groups),
        }
    )


def _folder(cell: Cell, run: Path) -> CellFolder:
    return CellFolder(cell_folder(run, cell.key), cell.model.name, cell.planned.name, cell.arm.name)


def scores(trajectories: Sequence[Trajectory]) -> Mapping[str, Sequence[Verdict]]:
    """Scores of surviving samples by question id, as they were journalled."""
    found: dict[str, list[Verdict]] = defaultdict(list)
    for trajectory in trajectories:
        if not trajectory.failed:
            said = trajectory.metadata.get(VERDICT, {"reason": "unknown"})
            found[trajectory.question_id].append(Verdict(correct=bool(trajectory.metadata.get(CORRECT)), **said))
    return found


def _bfcl(spec: EvaluationSpec, cells: Sequence[Cell], run: Path) -> dict[str, Leaderboard]:
    """BFCL's official numbers by ``MODEL/ARM``, where any of its categories was run."""
    its = {cell.key: _folder(cell, run).trajectories for cell in cells if "bfcl" in cell.planned.suite.groups}
    return leaderboards(its, not_run(spec))


def _reference(spec: EvaluationSpec) -> CallsByQuestion | None:
    return calls_by_question(iter_trajectories(spec.reference, "reference")) if spec.reference else None
