"""The teacher job: draw, verify, select, write."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar

from pydantic import BaseModel

from mentor.analysis import executed_by_backend
from mentor.data import write_questions, write_text, write_trajectories
from mentor.data.parquet import write_parquet
from mentor.errors import UserError
from mentor.jobs.handler import JobContext, Stopped
from mentor.rollout.solve import CORRECT, offer_tools, solve
from mentor.trajectory import Question, Trajectory
from mentor_teacher.importers import IMPORTERS
from mentor_teacher.select import Selected, select
from mentor_teacher.spec import TeacherSpec


class TeacherJob:
    """Runs the agent loop over a question set and keeps trajectories whose answer matches the ground truth.

    Artefacts: ``references.parquet`` (published schema), ``references.jsonl`` (the same as questions),
    ``trajectories.jsonl`` (every trajectory whole, verified or not), ``summary.json``.
    """

    kind: ClassVar[str] = "teacher"
    Spec: ClassVar[type[BaseModel]] = TeacherSpec

    def validate(self, spec: TeacherSpec) -> None:
        """Read everything that the job will read, before it is accepted."""
        verifiable_questions(spec)
        spec.model.check()

    def run(self, spec: TeacherSpec, context: JobContext) -> dict[str, Any]:
        questions = verifiable_questions(spec)
        drawn = solve(spec, questions, context)
        if drawn is None:
            raise Stopped
        selected = select(
            questions, drawn, max_references=spec.max_references, filters=spec.all_filters, selection=spec.selection
        )
        return _write(spec, questions, drawn, selected, context)


def verifiable_questions(spec: TeacherSpec) -> list[Question]:
    """The questions to solve.

    Raises:
        UserError: unreadable, naming an unknown tool, or without a ground truth to verify against.
    """
    questions = offer_tools(spec, IMPORTERS.get(spec.importer).read(Path(spec.questions)))
    for question in questions:
        if not question.answers:
            raise UserError(
                f"question {question.id!r} has no answer to verify against", field="questions", allowed="answers: [...]"
            )
    return questions


def _counts(selected: Selected) -> dict[str, int]:
    """What became of every trajectory; what a filter that did not run would have dropped is 0."""
    built_in = dict.fromkeys(("wrong", "unanswered", "without_tools"), 0)
    return {"kept": selected.kept, **built_in, **selected.dropped, "surplus": selected.surplus, "lost": selected.lost}


def _write(
    spec: TeacherSpec, questions: list[Question], ordered: list[Trajectory], selected: Selected, context: JobContext
) -> dict[str, Any]:
    out = context.workdir / "out"
    if not selected.questions:
        raise UserError(
            f"none of {len(ordered)} trajectories gave a right answer: nothing to learn from",
            field="model", allowed="a teacher that solves some of the questions",
        )  # fmt: skip
    write_parquet(selected.questions, out / "references.parquet")
    write_questions(selected.questions, out / "references.jsonl")
    write_trajectories(ordered, out / "trajectories.jsonl")
    summary = {
        "model": spec.model.label,
        "questions": len(questions),
        "questions_with_references": len(selected.questions),
        "trajectories": len(ordered),
        **_counts(selected),
        "accuracy": sum(bool(t.metadata.get(CORRECT)) for t in ordered) / max(1, len(ordered)),
        "tool_calls_by_backend": dict(executed_by_backend(ordered)),
        "spec": spec.model_dump(mode="json"),
    }
    write_text(out / "summary.json", json.dumps(summary, indent=2) + "\n")
    for name in ("references.parquet", "references.jsonl", "trajectories.jsonl", "summary.json"):
        context.commit(name, out / name)
    context.progress(1.0, f"{len(selected.questions)} of {len(questions)} questions have references")
    return {key: value for key, value in summary.items() if key != "spec"}
