"""The evaluation job: draw, judge, report."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any, ClassVar

from pydantic import BaseModel

from mentor.analysis import CallsByQuestion, calls_by_question
from mentor.data import iter_trajectories, write_text, write_trajectories
from mentor.data.files import check_readable
from mentor.jobs.handler import JobContext, Stopped
from mentor.rollout.solve import load_questions, offer_tools, resolve_tools, solve
from mentor.trajectory import Question, Trajectory
from mentor_evaluator.records import record
from mentor_evaluator.report import build_report
from mentor_evaluator.scorers import SCORERS
from mentor_evaluator.spec import EvaluateSpec
from mentor_evaluator.suites import SUITES, data_folder


class EvaluateJob:
    """Evaluates a model.

    Artefacts: ``report.json``, ``records.jsonl`` (the published shape), ``trajectories.jsonl``. The result is the report.
    """

    kind: ClassVar[str] = "evaluate"
    Spec: ClassVar[type[BaseModel]] = EvaluateSpec

    def validate(self, spec: EvaluateSpec) -> None:
        """Read everything that the job will read, before it is accepted."""
        questions_of(spec)
        spec.model.check()
        if spec.reference:
            check_readable(Path(spec.reference), "reference")

    def run(self, spec: EvaluateSpec, context: JobContext) -> dict[str, Any]:
        suite = SUITES.get(spec.suite) if spec.suite else None
        questions = resolve_tools(spec, questions_of(spec))
        ordered = solve(spec, questions, context, SCORERS.get(suite.scorer).score if suite else None)
        if ordered is None:
            raise Stopped
        figures = build_report(
            questions, ordered, reference_calls(spec, questions), samples=spec.samples,
            judge=suite.scorer if suite else spec.judge, seed=spec.seed,
        )  # fmt: skip
        report = {"model": spec.model.label, **figures.model_dump(mode="json")}
        _write(spec, questions, ordered, report, context)
        return report


def questions_of(spec: EvaluateSpec) -> list[Question]:
    """The questions to evaluate on.

    Raises:
        UserError: they are not there, malformed, or name an unknown tool.
    """
    if spec.suite is None:
        return load_questions(spec)
    return offer_tools(spec, SUITES.get(spec.suite).load(data_folder()).questions)


def reference_calls(spec: EvaluateSpec, questions: list[Question]) -> CallsByQuestion | None:
    """The teacher's tool calls by question, or None where nothing is known of them."""
    if spec.reference:
        wanted = {question.id for question in questions}
        known = calls_by_question(t for t in iter_trajectories(spec.reference, "reference") if t.question_id in wanted)
    else:
        known = {q.id: [Counter(q.references[0].tool_names)] for q in questions if q.references}
    return known or None


def _write(
    spec: EvaluateSpec,
    questions: list[Question],
    ordered: list[Trajectory],
    report: dict[str, Any],
    context: JobContext,
) -> None:
    out = context.workdir / "out"
    by_id = {question.id: question for question in questions}
    lines = (json.dumps(record(by_id[t.question_id], t, spec.model.label), ensure_ascii=False) for t in ordered)
    write_text(out / "records.jsonl", "".join(f"{line}\n" for line in lines))
    write_trajectories(ordered, out / "trajectories.jsonl")
    write_text(out / "report.json", json.dumps(report, indent=2) + "\n")
    for name in ("report.json", "records.jsonl", "trajectories.jsonl"):
        context.commit(name, out / name)
