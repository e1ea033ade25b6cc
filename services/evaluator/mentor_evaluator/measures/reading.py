"""The report of a run on disk: the one that was written, or, for a run that was not finished or is older, made again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from mentor.analysis import CallsByQuestion, calls_by_question
from mentor.data import iter_trajectories
from mentor.errors import UserError
from mentor.rollout.budget import Prices
from mentor_evaluator.matrix.results import scores
from mentor_evaluator.measures.matrix import run_report
from mentor_evaluator.measures.models import CellReport, RunReport
from mentor_evaluator.report import build_report
from mentor_evaluator.runs import REPORT, CellFolder, Run
from mentor_evaluator.suites import SUITES

_DEFAULT_SCORER = "math_response"


def report_of(run: Run) -> RunReport:
    """The run's figures.

    Raises:
        UserError: it has no sample.
    """
    if (run.folder / REPORT).is_file():
        try:
            return RunReport.model_validate(run.report)
        except (ValidationError, json.JSONDecodeError):
            pass  # of an earlier version, or not whole: its samples say the same
    return made_again(run)


def made_again(run: Run) -> RunReport:
    """The same from its samples; raises as ``report_of``."""
    cells = [cell for cell in run.cells() if any(not t.failed for t in cell.trajectories)]
    if not cells:
        raise UserError(f"{run.folder} has no sample yet", field="run", allowed="a run that has drawn some")
    reference = _reference(run.manifest.spec)
    return run_report(cells, {cell.key: _cell(run, cell, reference) for cell in cells})


def _cell(run: Run, cell: CellFolder, reference: CallsByQuestion | None) -> CellReport:
    spec, facts = run.manifest.spec, run.manifest.suites.get(cell.suite)
    model: dict[str, Any] = next((m for m in spec.get("models", ()) if m.get("name") == cell.model), {})
    questions, trajectories = cell.questions, cell.trajectories
    asked = {question.id for question in questions}
    suite = SUITES.get(cell.suite) if cell.suite in SUITES.names() else None
    return build_report(
        questions, trajectories, {k: v for k, v in (reference or {}).items() if k in asked} or None,
        samples=spec.get("samples", 1), judge=facts.scorer if facts else _DEFAULT_SCORER, seed=spec.get("seed", 0),
        prices=Prices(price_in=model.get("price_in", 0.0), price_out=model.get("price_out", 0.0)),
    ).model_copy(
        update={
            "skipped_rows": len(facts.skipped) if facts else 0,
            "figures": suite.aggregate(scores(trajectories)) if suite else {},
            "groups": list(suite.groups) if suite else [],
        }
    )  # fmt: skip


def _reference(spec: Mapping[str, Any]) -> CallsByQuestion | None:
    """The teacher's calls, where its file is still there: a report can do without."""
    path = spec.get("reference")
    try:
        return calls_by_question(iter_trajectories(path, "reference")) if path else None
    except UserError:
        return None
