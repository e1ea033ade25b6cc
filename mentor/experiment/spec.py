"""The grid file of an experiment: worlds, students, methods, which of them run with which seeds, and the claims they test."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from mentor.data.files import read_mapping
from mentor.errors import UserError
from mentor.grading import JudgeName
from mentor.jobs.handler import spec_error
from mentor.local.distill import EvaluationSet, ServiceUrls
from mentor.trajectory import Frozen

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
Fields = dict[str, Any]
Metric = Literal[
    "accuracy", "greedy_accuracy", "alignment_score", "invalid_rate", "usage_rate", "calls_per_question", "tokens_per_answer"
]  # fmt: skip
_MAX_BASES = 5
_WHOLE = frozenset({"model"})
BASELINE = "vanilla"
TEACHER = "teacher"
"""Names of what every world and student is evaluated on first: the student as it is, and the teacher."""


def merged(*layers: Fields | None) -> Fields:
    """Later layers over earlier ones, mapping into mapping; a ``model`` is replaced whole, since url and path exclude each
    other."""
    result: Fields = {}
    for layer in layers:
        for name, value in (layer or {}).items():
            old = result.get(name)
            inner = isinstance(old, dict) and isinstance(value, dict) and name not in _WHOLE
            result[name] = merged(old, value) if inner else value
    return result


class World(Frozen):
    """A set of questions with the students and the teacher that belong to it. Paths are relative to ``folder``.

    ``dials`` are what makes this world this world, for maps over worlds: plain numbers or words.
    """

    folder: str
    questions: str = "questions/train.jsonl"
    evaluation: dict[Name, EvaluationSet]
    teacher: Fields = Field(default_factory=dict, description="fields of the teacher's job, over the defaults'")
    dials: dict[str, float | str] = Field(default_factory=dict)


class Student(Frozen):
    """A student: ``path`` is relative to each world's folder (or absolute); ``train`` are fields for its size."""

    path: str
    train: Fields = Field(default_factory=dict)


class Method(Frozen):
    """How a student is made and asked.

    ``train`` are fields of a training job over the defaults'; None trains nothing. ``evaluate`` are fields of its
    evaluation over the defaults'. ``after`` names the method whose student it starts from. ``own_trajectories`` are fields of a
    teacher's job in which the student itself solves the training questions (rejection sampling). ``shuffle_references``
    gives every question the references of another: a control. ``teacher_questions``: so many of the training questions,
    drawn by the seed, are all that teacher and student see. ``teacher_samples``: references a question.
    ``label``: how tables call it.
    """

    label: str | None = None
    train: Fields | None = None
    evaluate: Fields = Field(default_factory=dict)
    after: Name | None = None
    own_trajectories: Fields | None = None
    shuffle_references: bool = False
    teacher_questions: int | None = Field(default=None, ge=1)
    teacher_samples: int | None = Field(default=None, ge=1)

    @model_validator(mode="after")
    def _trained(self) -> Self:
        if self.train is None and (self.after or self.own_trajectories or self.shuffle_references):
            raise ValueError("after, own_trajectories and shuffle_references need train: without it nothing is trained")
        return self


class Block(Frozen):
    """A full product of the grid: every method with every world, student and seed named here."""

    methods: tuple[Name, ...] = Field(min_length=1)
    worlds: tuple[Name, ...] = ()
    students: tuple[Name, ...] = ()
    seeds: tuple[int, ...] = Field(min_length=1)


class Claim(Frozen):
    """A hypothesis, written down before anything is run: ``metric`` of ``left`` against that of ``right``.

    ``right`` is a method, or None: then ``left`` is held against ``value`` (invalid calls near zero). ``sets`` are the names
    of evaluation sets or groups that count together. ``direction``: ``more`` or ``less``. ``margin``: the smallest
    difference that would matter, in the metric's own unit (a share, not percent). ``confirmatory`` claims are corrected
    together (Holm); the others are looked at and say so. ``overturned_by``: what would change the verdict, in words.
    """

    name: Name
    says: str
    metric: Metric = "accuracy"
    left: Name
    right: Name | None = None
    value: float | None = None
    direction: Literal["more", "less"]
    margin: float = Field(ge=0)
    sets: tuple[str, ...] = Field(min_length=1)
    worlds: tuple[Name, ...] = ()
    students: tuple[Name, ...] = ()
    confirmatory: bool = True
    overturned_by: str = ""

    @model_validator(mode="after")
    def _against_something(self) -> Self:
        if (self.right is None) == (self.value is None):
            raise ValueError("give either right (a method) or value (a number)")
        return self


class Map(Frozen):
    """A picture over worlds: ``left`` minus ``right`` of ``metric``, by two of the worlds' dials."""

    name: Name
    metric: Metric = "accuracy"
    left: Name
    right: Name
    sets: tuple[str, ...] = Field(min_length=1)
    rows: str
    columns: str
    student: Name


class Defaults(Frozen):
    """Fields of every job of a kind."""

    teacher: Fields = Field(default_factory=dict)
    train: Fields = Field(default_factory=dict)
    evaluate: Fields = Field(default_factory=dict)


class Costs(Frozen):
    """What a dry run reckons with, each an assumption of the user's; a figure that is None is measured or left out.

    ``gpus_per_evaluation``: of an evaluation, and of a student that draws its own trajectories, at
    ``evaluation_tokens_per_second``. The teacher costs its price alone.
    """

    gpus_per_training: float = 0.0
    gpus_per_evaluation: float = 0.0
    seconds_per_step: float | None = None
    seconds_to_start: float = 60.0
    tokens_per_trajectory: float = 200.0
    evaluation_tokens_per_second: float | None = None
    price_per_gpu_hour: float = 0.0
    teacher_price_per_million_tokens: float = 0.0


class ExperimentSpec(Frozen):
    """A grid file. Paths are relative to it. ``results``: where a record of every run is kept, plain files to be committed."""

    name: Name
    title: str = ""
    results: str = "results"
    folder: str = Field(default=".", description="filled in: the grid file's own, where relative paths begin")
    worlds: dict[Name, World] = Field(min_length=1)
    students: dict[Name, Student] = Field(min_length=1)
    methods: dict[Name, Method] = Field(min_length=1)
    grid: tuple[Block, ...] = Field(min_length=1)
    defaults: Defaults = Field(default_factory=Defaults)
    greedy: bool = Field(default=True, description="evaluate greedily too, beside sampling")
    judge: JudgeName = "math"
    claims: tuple[Claim, ...] = ()
    maps: tuple[Map, ...] = ()
    lanes: int = Field(default=1, ge=1, description="runs side by side")
    costs: Costs = Field(default_factory=Costs)
    services: ServiceUrls = Field(default_factory=ServiceUrls)

    @model_validator(mode="after")
    def _names_are_known(self) -> Self:
        for place, named, known in self._named():
            unknown = [name for name in named if name not in known]
            if unknown:
                raise ValueError(f"{place} names {', '.join(map(repr, unknown))}; known: {', '.join(known)}")
        return self

    def _named(self) -> list[tuple[str, tuple[str, ...], tuple[str, ...]]]:
        """Where something is named, what, and what there is."""
        worlds, students = tuple(self.worlds), tuple(self.students)
        methods = (TEACHER, BASELINE, *self.methods)
        sets = tuple(
            dict.fromkeys(n for w in self.worlds.values() for s in w.evaluation for n in (s, w.evaluation[s].group))
        )
        found: list[tuple[str, tuple[str, ...], tuple[str, ...]]] = []
        for name, method in self.methods.items():
            before = tuple(self.methods)[: list(self.methods).index(name)]
            found.append((f"methods.{name}.after", (method.after,) if method.after else (), before))
        for index, block in enumerate(self.grid):
            place = f"grid.{index}"
            found += [(f"{place}.methods", block.methods, methods), (f"{place}.worlds", block.worlds, worlds)]
            found.append((f"{place}.students", block.students, students))
        for claim in self.claims:
            place = f"claims.{claim.name}"
            sides = (claim.left,) if claim.right is None else (claim.left, claim.right)
            found += [(place, sides, methods), (f"{place}.sets", claim.sets, sets)]
            found += [(f"{place}.worlds", claim.worlds, worlds), (f"{place}.students", claim.students, students)]
        for wanted in self.maps:
            place = f"maps.{wanted.name}"
            found += [(place, (wanted.left, wanted.right), methods), (f"{place}.sets", wanted.sets, sets)]
            found.append((f"{place}.student", (wanted.student,), students))
        return found


def read_experiment(path: Path) -> ExperimentSpec:
    """Read a grid file; paths in it become absolute. ``base: OTHER.yaml`` in it takes that file's fields first.

    Raises:
        UserError: naming the field and what is allowed.
    """
    try:
        spec = ExperimentSpec.model_validate(_with_base(path))
    except ValidationError as error:
        raise spec_error(error) from error
    base = path.resolve().parent
    worlds = {n: w.model_copy(update={"folder": str((base / w.folder).resolve())}) for n, w in spec.worlds.items()}
    for name, world in worlds.items():
        if not Path(world.folder).is_dir():
            raise UserError(
                f"{world.folder} is no folder", field=f"worlds.{name}.folder", allowed="a folder that is there"
            )
    results = str((base / spec.results).resolve())
    return spec.model_copy(update={"worlds": worlds, "results": results, "folder": str(base)})


def _with_base(path: Path, depth: int = 0) -> Fields:
    """A file's values over those of the file that it is based on."""
    if depth > _MAX_BASES:
        raise UserError(f"{path}: bases of bases go round in a circle", field="base", allowed=f"{_MAX_BASES} at most")
    values = read_mapping(path)
    base = values.pop("base", None)
    return values if base is None else merged(_with_base(path.parent / str(base), depth + 1), values)
