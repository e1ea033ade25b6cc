"""The evaluation job: plan, write the manifest, draw, report."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from pydantic import BaseModel

from mentor.data import write_questions, write_text
from mentor.errors import ConflictError
from mentor.jobs.handler import JobContext, Stopped
from mentor_evaluator.matrix.draw import draw_matrix
from mentor_evaluator.matrix.manifest import Manifest, make_manifest
from mentor_evaluator.matrix.plan import Cell, plan
from mentor_evaluator.matrix.results import matrix_report
from mentor_evaluator.matrix.spec import EvaluationSpec
from mentor_evaluator.runs import MANIFEST, QUESTIONS, REPORT, cell_folder

_FIXED = ("data", "questions_digest", "scorer")
"""What of a suite may not change between the attempts of one run."""


class EvaluationJob:
    """Evaluates models on suites.

    Artefacts: ``manifest.json`` (before the first sample), ``run`` (the folder that ``mentor_evaluator.runs`` describes)
    and ``report.json``, the matrix of results, which is the job's result too.
    """

    kind: ClassVar[str] = "evaluation"
    Spec: ClassVar[type[BaseModel]] = EvaluationSpec

    def validate(self, spec: EvaluationSpec) -> None:
        """Read everything that the job will read, before it is accepted."""
        plan(spec)

    def run(self, spec: EvaluationSpec, context: JobContext) -> dict[str, Any]:
        run = context.workdir / "run"
        cells = prepare(spec, run)
        context.commit(MANIFEST, run / MANIFEST)
        if not draw_matrix(spec, cells, run, context):
            raise Stopped
        report = matrix_report(spec, cells, run)
        write_text(run / REPORT, json.dumps(report, indent=2) + "\n")
        context.commit("run", run)
        context.commit(REPORT, run / REPORT)
        return report


def prepare(spec: EvaluationSpec, run: Path) -> list[Cell]:
    """Plan a run and write its manifest and questions, or take up an earlier attempt's folder.

    Raises:
        UserError: the spec is wrong, or data are missing or malformed.
        ConflictError: the folder holds a run of other data.
    """
    cells = plan(spec)
    _write_manifest(run, make_manifest(spec, cells))
    _write_questions(run, cells)
    return cells


def _write_manifest(run: Path, manifest: Manifest) -> None:
    """Write it, or hold it against the one of an earlier attempt.

    Raises:
        ConflictError: the data of a suite have changed in between: samples of two data sets make no figure.
    """
    path = run / MANIFEST
    if path.is_file():
        before = Manifest.model_validate_json(path.read_text())
        for name, facts in manifest.suites.items():
            known = before.suites.get(name)
            changed = [part for part in _FIXED if known and getattr(known, part) != getattr(facts, part)]
            if changed:
                raise ConflictError(
                    f"{name} has changed since the run began: {', '.join(changed)}", field="suites", allowed="a new run"
                )
        return
    write_text(path, manifest.model_dump_json(indent=2) + "\n")


def _write_questions(run: Path, cells: Sequence[Cell]) -> None:
    for cell in cells:
        file = cell_folder(run, cell.key) / QUESTIONS
        if not file.exists():
            write_questions(cell.questions, file)
