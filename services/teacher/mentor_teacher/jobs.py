"""The teacher job: draw, verify, select, write."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from pydantic import BaseModel

from mentor.errors import UserError
from mentor.jobs.handler import JobContext, Stopped
from mentor.rollout.solve import generate, offer_tools
from mentor.trajectory import Question, Trajectory
from mentor_teacher.dataset import FILES, write_dataset
from mentor_teacher.estimate import estimate
from mentor_teacher.generation import facts_of
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
        if spec.dry_run is not None:
            return estimate(spec, questions, context).model_dump(mode="json")
        found = generate(spec, questions, context, effort=spec.effort)
        if found is None:
            raise Stopped
        drawn = list(found.trajectories)
        selected = select(
            questions, drawn, max_references=spec.max_references, filters=spec.all_filters, selection=spec.selection
        )
        return _write(spec, questions, drawn, selected, context, facts_of(spec, found))


def verifiable_questions(spec: TeacherSpec) -> list[Question]:
    """The questions to solve.

    Raises:
        UserError: unreadable, naming an unknown tool, or without a ground truth to verify against.
    """
    questions = offer_tools(
        spec, IMPORTERS.get(spec.importer).read(Path(spec.questions), spec.importer_options).questions
    )
    for question in questions:
        if not question.answers:
            raise UserError(
                f"question {question.id!r} has no answer to verify against", field="questions", allowed="answers: [...]"
            )
    return questions


def _write(
    spec: TeacherSpec,
    questions: list[Question],
    drawn: list[Trajectory],
    selected: Selected,
    context: JobContext,
    generation: dict[str, Any],
) -> dict[str, Any]:
    if not selected.questions:
        raise UserError(
            f"none of {len(drawn)} trajectories gave a right answer: nothing to learn from",
            field="model", allowed="a teacher that solves some of the questions",
        )  # fmt: skip
    out = context.workdir / "out"
    facts = {"model": spec.model.label, "spec": spec.model_dump(mode="json"), **generation}
    summary = write_dataset(out, questions, drawn, selected, facts)
    for name in FILES:
        context.commit(name, out / name)
    context.progress(1.0, f"{len(selected.questions)} of {len(questions)} questions have references")
    return {key: value for key, value in summary.items() if key != "spec"}
