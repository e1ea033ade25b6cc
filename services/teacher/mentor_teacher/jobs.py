"""The teacher job: draw, verify, select, write."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Protocol

from pydantic import BaseModel

from mentor.data.provenance import file_digest
from mentor.errors import UserError
from mentor.inference.facts import server_facts
from mentor.jobs.handler import Stopped
from mentor.rollout.solve import Progress, generate, offer_tools, resolve_tools
from mentor.trajectory import Question
from mentor_teacher.estimate import estimate
from mentor_teacher.generation import facts_of
from mentor_teacher.importers import IMPORTERS
from mentor_teacher.output.dataset import FILES, PAIRS, WHY_NONE, write_dataset
from mentor_teacher.output.manifest import Origin
from mentor_teacher.select import Screened, Selected, after_screening, screen, select
from mentor_teacher.spec import TeacherSpec

DATASET = "dataset"
"""The artefact that is the whole folder."""


class Publishing(Progress, Protocol):
    """What of a job's context this one needs."""

    def commit(self, name: str, path: Path) -> None: ...


class TeacherJob:
    """Runs the agent loop over a question set and keeps trajectories whose answer matches the ground truth.

    Artefacts: ``dataset`` (the folder with everything: ``docs/teacher.md``), and from it by themselves
    ``references.parquet`` (published schema), ``references.jsonl`` (the same as questions), ``trajectories.jsonl`` (every
    trajectory whole, verified or not), ``summary.json``, and ``preferences.jsonl`` where there is a pair. One that kept no
    trajectory fails, and leaves ``trajectories.jsonl``, ``summary.json`` and ``statistics.html``.
    """

    kind: ClassVar[str] = "teacher"
    Spec: ClassVar[type[BaseModel]] = TeacherSpec

    def validate(self, spec: TeacherSpec) -> None:
        """Read everything that the job will read, before it is accepted."""
        verifiable_questions(spec)
        for number, use in enumerate(spec.filters):
            use.check(f"filters.{number}")
        spec.model.check()

    def run(self, spec: TeacherSpec, context: Publishing) -> dict[str, Any]:
        asked = wanted(spec)
        questions = resolve_tools(spec, asked.questions)
        if spec.dry_run is not None:
            return estimate(spec, questions, context).model_dump(mode="json")
        server = server_facts(spec.model)
        found = generate(spec, questions, context, effort=spec.effort)
        if found is None:
            raise Stopped
        selected = select(
            questions,
            found.trajectories,
            max_references=spec.max_references,
            filters=after_screening(spec.all_filters),
            selection=spec.selection,
        )
        count_fates(selected, context)
        return _write(spec, asked, questions, selected, context, server, facts_of(spec, found))


def wanted(spec: TeacherSpec) -> Screened:
    """The questions to solve, without those that filters of questions drop.

    Raises:
        UserError: as ``verifiable_questions``, or no question is left.
    """
    screened = screen(verifiable_questions(spec), spec.all_filters)
    if not screened.questions:
        dropped = ", ".join(f"{step.filter} {step.dropped}" for step in screened.steps)
        raise UserError(f"no question is left: {dropped}", field="filters", allowed="filters that leave some")
    return screened


def verifiable_questions(spec: TeacherSpec) -> list[Question]:
    """The questions of the spec's file.

    Raises:
        UserError: unreadable, naming an unknown tool, or without a ground truth to verify against where samples do not vote.
    """
    questions = offer_tools(
        spec, IMPORTERS.get(spec.importer).read(Path(spec.questions), spec.importer_options).questions
    )
    unknown = next((question for question in questions if not question.answers), None)
    if unknown is not None and not spec.by_agreement:
        raise UserError(
            f"question {unknown.id!r} has no answer to verify against", field="questions",
            allowed="answers: [...], or the filter agreement in their place",
        )  # fmt: skip
    votes = next((getattr(use, "samples", 0) for use in spec.filters if use.name == "agreement"), 0)
    if unknown is not None and spec.samples < votes:
        raise UserError(
            f"{spec.samples} samples cannot reach the {votes} votes that agreement asks for", field="samples",
            allowed=f"{votes} or more",
        )  # fmt: skip
    return questions


def count_fates(selected: Selected, context: Publishing) -> None:
    """What the dashboards show of filters."""
    fates = {"kept": selected.kept, "surplus": selected.surplus, "lost": selected.lost, **selected.dropped}
    for fate, number in fates.items():
        if number:
            context.count("mentor_teacher_fates", number, fate=fate)


def _write(
    spec: TeacherSpec,
    asked: Screened,
    questions: list[Question],
    selected: Selected,
    context: Publishing,
    server: dict[str, Any],
    generation: dict[str, Any],
) -> dict[str, Any]:
    out = context.workdir / "out"
    plain = spec.model_dump(mode="json")
    origin = Origin(
        kind="job", model=spec.model.label, spec=plain, server=server,
        inputs={Path(spec.questions).name: file_digest(Path(spec.questions))},
    )  # fmt: skip
    summary = write_dataset(
        out, questions, selected, origin, name=Path(spec.questions).stem, shares=spec.split, screened=asked.steps,
        facts={"model": spec.model.label, "spec": plain, **generation},
    )  # fmt: skip
    for name in (*FILES, PAIRS) if selected.questions else WHY_NONE:
        if (out / name).is_file():
            context.commit(name, out / name)
    if not selected.questions:
        raise _nothing_kept(selected)
    context.commit(DATASET, out)
    context.progress(1.0, f"{len(selected.questions)} of {len(questions)} questions have references")
    return {key: value for key, value in summary.items() if key != "spec"}


def _nothing_kept(selected: Selected) -> UserError:
    dropped = ", ".join(f"{step.filter} {step.dropped}" for step in selected.steps if step.dropped)
    return UserError(
        f"none of {len(selected.trajectories)} trajectories gave a right answer that the filters keep: nothing to learn "
        f"from ({dropped or 'all were lost'})",
        field="model", allowed="a teacher that solves some of the questions",
    )  # fmt: skip
