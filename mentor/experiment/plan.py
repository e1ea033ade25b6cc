"""From a grid file to what has to be done: runs, and the content-addressed steps that they share.

A step is a job of a service or a file derived from others (``derive``). Its digest covers its whole spec, files by content
and other steps' outputs by those steps' digests, so that two runs that need the same thing need the same step, and a step
that is done stays done until something that made it changes. Seeds: a run's seed draws the subset and the shuffling of its
questions, its training, its own trajectories and its sampled evaluation. A world's teacher data has the teacher's own seed and
is drawn once; a greedy evaluation has none.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import Any

from mentor.errors import UserError
from mentor.experiment.derive import QUESTIONS
from mentor.experiment.fields import Paths
from mentor.experiment.keys import Digests, File, Output, code_version, digest_of, outputs_in
from mentor.experiment.records import RunId
from mentor.experiment.spec import BASELINE, TEACHER, Block, ExperimentSpec, Fields, Method, merged
from mentor.local.distill import greedily, learns_from, with_sampling

EVALUATIONS = ("sampled", "greedy")
"""Roles of a run's steps that are its results."""
MODEL = "model"


@dataclass(frozen=True)
class Step:
    """One thing to do. ``kind``: of a job, or one of ``derive.DERIVED``. ``label``: whose it is, for people."""

    kind: str
    label: str
    spec: Mapping[str, Any]

    @cached_property
    def content(self) -> str:
        """Digest of what it is made of, code left out."""
        return digest_of({"kind": self.kind, "spec": self.spec})

    @cached_property
    def needs(self) -> tuple[str, ...]:
        """Digests of the steps whose outputs it takes."""
        return tuple(dict.fromkeys(output.step for output in outputs_in(self.spec)))


@dataclass(frozen=True)
class Run:
    """One cell of the grid with one seed: its steps by role (``questions``, ``teacher``, ``draw``, ``train``, ``sampled``,
    ``greedy``)."""

    id: RunId
    roles: Mapping[str, Step]

    @cached_property
    def content(self) -> str:
        """Digest of all that it is made of, code left out."""
        return digest_of({role: self.roles[role].content for role in EVALUATIONS if role in self.roles})


@dataclass(frozen=True)
class Plan:
    """All runs in the order in which they are started (seed by seed), all steps by digest, and the code's version."""

    spec: ExperimentSpec
    runs: tuple[Run, ...]
    steps: Mapping[str, Step]
    code: str

    def steps_of(self, run: Run) -> list[Step]:
        """All that a run needs, what comes first before what needs it."""
        found: dict[str, Step] = {}
        for step in run.roles.values():
            self._gather(step, found)
        return list(found.values())

    def _gather(self, step: Step, found: dict[str, Step]) -> None:
        if step.content in found:
            return
        for need in step.needs:
            self._gather(self.steps[need], found)
        found[step.content] = step


def make_plan(spec: ExperimentSpec, only: Sequence[str] = ()) -> Plan:
    """Expand a grid.

    Args:
        only: methods or labels (``WORLD.STUDENT.METHOD.sSEED``), with ``*`` and ``?``; empty: all.

    Raises:
        UserError: a world's questions are not there, its teacher has no model, or a pattern fits no run.
    """
    builder = _Builder(spec)
    ids = selected(run_ids(spec), only)
    runs = tuple(builder.run(run) for run in ids)
    return Plan(spec=spec, runs=runs, steps=builder.steps, code=code_version())


def run_ids(spec: ExperimentSpec) -> list[RunId]:
    """The grid's cells with their seeds, each once: all of the first seed before any of the next."""
    found = dict.fromkeys(run for block in spec.grid for run in _of_block(spec, block))
    seeds = list(dict.fromkeys(seed for block in spec.grid for seed in block.seeds))
    return sorted(found, key=lambda run: seeds.index(run.seed))


def _of_block(spec: ExperimentSpec, block: Block) -> Iterator[RunId]:
    for seed in block.seeds:
        for world in block.worlds or spec.worlds:
            for student in block.students or spec.students:
                for method in block.methods:
                    whose = TEACHER if method == TEACHER else student  # the world's: there is one for all students
                    yield RunId(world=world, student=whose, method=method, seed=seed)


def selected(runs: Sequence[RunId], only: Sequence[str]) -> list[RunId]:
    """Those that a pattern names; raises ``UserError`` for a pattern that names none."""
    for pattern in only:
        if not any(_fits(run, pattern) for run in runs):
            methods = ", ".join(dict.fromkeys(run.method for run in runs))
            raise UserError(
                f"--only {pattern} fits no run", field="only",
                allowed=f"a method ({methods}), or WORLD.STUDENT.METHOD.sSEED, with * and ?",
            )  # fmt: skip
    return [run for run in runs if not only or any(_fits(run, pattern) for pattern in only)]


def _fits(run: RunId, pattern: str) -> bool:
    return fnmatchcase(run.method, pattern) or fnmatchcase(run.label, pattern)


class _Builder:
    """Makes the steps of runs; what two runs share is one step."""

    def __init__(self, spec: ExperimentSpec) -> None:
        self.spec = spec
        self.steps: dict[str, Step] = {}
        self._digests = Digests()

    def run(self, run: RunId) -> Run:
        method = self._method(run)
        roles = {"questions": self._evaluation_set(run.world)}
        whose = self._teacher_fields(run.world)[MODEL] if run.method == TEACHER else None
        model = whose or {"path": self._trained(run, method, roles)}
        return Run(run, roles | self._evaluations(run, method, model, roles["questions"]))

    def _method(self, run: RunId) -> Method:
        plain = run.method in (TEACHER, BASELINE)
        return self.spec.methods.get(run.method, Method()) if plain else self.spec.methods[run.method]

    def _step(self, kind: str, label: str, spec: Fields) -> Step:
        made = Step(kind, label, spec)
        return self.steps.setdefault(made.content, made)

    def _paths(self, world: str) -> Paths:
        return Paths((Path(self.spec.worlds[world].folder), Path(self.spec.folder)), self._digests)

    def _file(self, world: str, value: str, field: str) -> File:
        found = self._paths(world).file(value)
        if isinstance(found, str):
            raise UserError(f"{value} does not exist", field=field, allowed="a file, relative to the world's folder")
        return found

    def _evaluation_set(self, world: str) -> Step:
        sets = {
            name: {"file": self._file(world, one.file, f"worlds.{world}.evaluation.{name}.file"), "group": one.group}
            for name, one in self.spec.worlds[world].evaluation.items()
        }
        return self._step("evaluation_set", f"questions {world}", {"sets": sets})

    def _questions(self, run: RunId, method: Method) -> File | Output:
        """What teacher and student see: all training questions, or a draw of them."""
        whole = self._file(run.world, self.spec.worlds[run.world].questions, f"worlds.{run.world}.questions")
        if method.teacher_questions is None:
            return whole
        drawn = {"questions": whole, "count": method.teacher_questions, "seed": run.seed}
        return Output(self._step("subset", f"questions {run.label}", drawn).content, QUESTIONS)

    def _teacher_fields(self, world: str) -> Fields:
        fields = merged(self.spec.defaults.teacher, self.spec.worlds[world].teacher)
        if not fields.get(MODEL):
            raise UserError(
                "no teacher", field=f"worlds.{world}.teacher.model", allowed="path: FOLDER, or url with name"
            )
        return self._paths(world).found("teacher", fields)

    def _teacher(self, run: RunId, method: Method) -> Step:
        fields = self._teacher_fields(run.world)
        if method.teacher_samples is not None:
            fields |= {"samples": method.teacher_samples, "max_references": method.teacher_samples}
        fields |= {"questions": self._questions(run, method), "judge": self.spec.judge}
        return self._step("teacher", f"teacher {run.world}", fields)

    def _draw(self, run: RunId, method: Method, student: Any) -> Step:
        """The student solves the training questions itself."""
        fields = merged(self._teacher_fields(run.world), method.own_trajectories)
        own = (method.own_trajectories or {}).get(MODEL, {})
        fields |= {MODEL: {**own, "path": student}, "questions": self._questions(run, method), "judge": self.spec.judge}
        return self._step("teacher", f"draw {run.label}", with_sampling(fields, seed=run.seed))

    def _trained(self, run: RunId, method: Method, roles: dict[str, Step]) -> File | Output | str:
        """The student that a method makes; its steps are put down under their roles."""
        student: File | Output | str = self._paths(run.world).file(self.spec.students[run.student].path)
        if method.after is not None:
            first = run.model_copy(update={"method": method.after})
            student = self._trained(first, self.spec.methods[method.after], {})
        if method.train is None:
            return student
        if method.own_trajectories is None:
            source = roles["teacher"] = self._teacher(run, method)
        else:
            source = roles["draw"] = self._draw(run, method, student)
        roles["train"] = self._train(run, method, student, source)
        return Output(roles["train"].content, MODEL)

    def _train(self, run: RunId, method: Method, student: Any, source: Step) -> Step:
        layers = self.spec.defaults.train, self.spec.students[run.student].train, method.train
        fields = self._paths(run.world).found("train", merged(*layers))
        files = learns_from(lambda name: Output(source.content, name), fields.get("algorithm"))
        if method.shuffle_references:
            given = {"questions": files["train_files"][0], "seed": run.seed}
            shuffled = self._step("shuffle", f"shuffled references {run.label}", given)
            files = {"train_files": [Output(shuffled.content, QUESTIONS)]}
        own = {MODEL: student, "seed": run.seed, "judge": self.spec.judge}
        return self._step("train", f"train {run.label}", {**fields, **own, **files})

    def _evaluations(self, run: RunId, method: Method, model: Fields, questions: Step) -> dict[str, Step]:
        layers = self.spec.defaults.evaluate, method.evaluate
        fields = self._paths(run.world).found("evaluate", merged(*layers))
        asked = {} if run.method == TEACHER else fields.get(MODEL, {})
        fields |= {MODEL: {**asked, **model}, "questions": Output(questions.content, QUESTIONS)}
        fields |= {"judge": self.spec.judge}
        made = {"sampled": self._step("evaluate", f"evaluate {run.label}", with_sampling(fields, seed=run.seed))}
        if self.spec.greedy:
            once = with_sampling(greedily(fields), seed=0)
            made["greedy"] = self._step("evaluate", f"evaluate {run.label} greedy", once)
        return made
