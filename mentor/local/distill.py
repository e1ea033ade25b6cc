"""A whole distillation as one chain of jobs: teacher, evaluation before, training, evaluation after.

The chain talks to the services over REST, uploads what the spec names on this machine and passes artefacts by reference,
so it is the same against local processes, Compose and Kubernetes.
"""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from mentor.data import read_questions, write_questions
from mentor.errors import InfrastructureError, UserError
from mentor.grading import JudgeName
from mentor.jobs.client import JobClient
from mentor.jobs.handler import spec_error
from mentor.jobs.model import ARTIFACT_SCHEME, Job, JobState
from mentor.trajectory import Frozen, Question

Group = Literal["in_domain", "out_of_domain"]
Follow = Callable[[JobClient, Job, str], Job]
GROUP = "group"
SPLIT = "split"


class EvaluationSet(Frozen):
    """Questions that are never trained on. ``group`` tells how the report adds them up."""

    file: str
    group: Group = "in_domain"


class ServiceUrls(Frozen):
    """Where the job services are."""

    teacher: str = "http://127.0.0.1:8082"
    trainer: str = "http://127.0.0.1:8083"
    evaluator: str = "http://127.0.0.1:8084"


class DistillSpec(Frozen):
    """A user's distillation.

    ``teacher``, ``train`` and ``evaluate`` hold fields of the three services' specs; what the chain knows itself
    (questions, tools, the student, the references) it fills in. ``arms`` trains further students beside the first:
    fields that replace those of ``train``, by name, and what ``Arm`` says. Without ``evaluation`` sets, ``eval_share`` of
    the questions is held out, drawn by ``seed``.
    """

    name: str = Field(default="distill", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")
    questions: str
    student: str = Field(description="folder of the student in Hugging Face format")
    teacher: dict[str, Any]
    train: dict[str, Any] = Field(default_factory=dict)
    evaluate: dict[str, Any] = Field(default_factory=dict)
    arms: dict[str, dict[str, Any]] = Field(default_factory=dict)
    tools: str | None = None
    judge: JudgeName = "math"
    evaluation: dict[str, EvaluationSet] = Field(default_factory=dict)
    eval_share: float = Field(default=0.2, gt=0, lt=1)
    greedy: bool = Field(default=True, description="evaluate greedily too, beside sampling")
    evaluate_teacher: bool = True
    vanilla_temperatures: tuple[Annotated[float, Field(gt=0, le=2)], ...] = Field(
        default=(), description="sample the untrained student at these too: what of a gain is sharpening alone"
    )
    output: str = "runs/distill"
    seed: int = 0
    services: ServiceUrls = Field(default_factory=ServiceUrls)


class Arm(Frozen):
    """How a further student comes about, beside the fields of its training.

    ``after``: the arm whose student this one starts from (SFT, then RL). ``own_trajectories``: fields of a teacher's job in
    which the student that it starts from solves the training questions itself; what it learns from is then what of that
    was right (rejection sampling).
    """

    after: str | None = None
    own_trajectories: dict[str, Any] | None = None
    train: dict[str, Any] = Field(default_factory=dict)


def parse_arms(values: dict[str, dict[str, Any]]) -> dict[str, Arm]:
    """The arms by name, each after the one that it builds on.

    Raises:
        UserError: one starts from an arm that is not before it.
    """
    arms: dict[str, Arm] = {"trained": Arm()}
    for name, fields in values.items():
        train = {key: value for key, value in fields.items() if key not in ("after", "own_trajectories")}
        try:
            arm = Arm(**{key: fields[key] for key in ("after", "own_trajectories") if key in fields}, train=train)
        except ValidationError as error:
            raise UserError(spec_error(error).message, field=f"arms.{name}") from error
        if arm.after is not None and arm.after not in arms:
            raise UserError(
                f"the arm {name!r} starts from {arm.after!r}",
                field=f"arms.{name}.after", allowed=f"an arm before it: {', '.join(arms)}",
            )  # fmt: skip
        arms[name] = arm
    return arms


class Stage(Frozen):
    """One finished job of the chain."""

    label: str
    job: Job
    seconds: float


class Outcome(Frozen):
    """All jobs of a chain, by label, and the questions they were evaluated on."""

    spec: DistillSpec
    stages: dict[str, Stage]
    evaluation: tuple[Question, ...]
    arms: tuple[str, ...]


def parse_distill(values: dict[str, Any], base: Path) -> DistillSpec:
    """A spec from plain values; relative paths in it are relative to ``base``, the spec's own folder.

    Raises:
        UserError: naming the field.
    """
    try:
        spec = DistillSpec.model_validate(values)
    except ValidationError as error:
        raise spec_error(error) from error
    parse_arms(spec.arms)

    def absolute(path: str) -> str:
        return str((base / path).resolve())

    sets = {name: s.model_copy(update={"file": absolute(s.file)}) for name, s in spec.evaluation.items()}
    changes: dict[str, Any] = {
        "questions": absolute(spec.questions),
        "student": absolute(spec.student),
        "tools": absolute(spec.tools) if spec.tools else None,
        "evaluation": sets,
        "output": str(Path(spec.output).resolve()),
    }
    model = dict(spec.teacher.get("model") or {})
    model |= {key: absolute(model[key]) for key in ("path", "tokenizer") if model.get(key)}
    return spec.model_copy(update=changes | {"teacher": {**spec.teacher, "model": model}})


class Chain:
    """Runs the jobs one after another. ``follow`` shows a job's progress and returns it ended."""

    def __init__(self, spec: DistillSpec, follow: Follow) -> None:
        self.spec = spec
        self._follow = follow
        self._run_id = uuid.uuid4().hex[:12]
        self._stages: dict[str, Stage] = {}
        self._clients = {
            "teacher": JobClient(spec.services.teacher),
            "train": JobClient(spec.services.trainer),
            "evaluate": JobClient(spec.services.evaluator),
        }

    def client(self, kind: str) -> JobClient:
        """The client of a kind's service."""
        return self._clients[kind]

    def run(self) -> Outcome:
        """Run the chain.

        Raises:
            UserError: a job refused its spec or failed for good, naming the field.
            InfrastructureError: a service stayed away.
        """
        train_file, evaluation, eval_file = self._split()
        self.spec = self._shared_spec()
        teacher = self._job("teacher", "teacher", self._teacher_spec(self._share(str(train_file))))
        held_out = self._share(str(eval_file))
        if self.spec.evaluate_teacher:
            self._evaluate("teacher", self.spec.teacher["model"], held_out)
        student = {"path": self.spec.student}
        self._evaluate("vanilla", student, held_out)
        for temperature in self.spec.vanilla_temperatures:
            cooler = with_sampling(self._evaluation(student, held_out), temperature=temperature)
            self._job(f"evaluate vanilla at {temperature:g}", "evaluate", cooler)
        arms = parse_arms(self.spec.arms)
        for name, arm in arms.items():
            trained = self._train(name, arm, teacher)
            self._evaluate(name, {"path": f"{ARTIFACT_SCHEME}{trained.id}/model"}, held_out)
        return Outcome(spec=self.spec, stages=self._stages, evaluation=tuple(evaluation), arms=tuple(arms))

    def _train(self, name: str, arm: Arm, teacher: Job) -> Job:
        """One student, from the chain's or another arm's, on the teacher's trajectories or its own."""
        model = self.spec.student
        if arm.after is not None:
            model = f"{ARTIFACT_SCHEME}{self._stages[f'train {arm.after}'].job.id}/model"
        source = teacher
        if arm.own_trajectories is not None:
            itself = {"model": {"path": model}, **arm.own_trajectories}
            drawing = {**self.spec.teacher, **itself, "questions": teacher.spec["questions"]}
            source = self._job(
                f"draw {name}", "teacher", {**drawing, "tools": self.spec.tools, "judge": self.spec.judge}
            )
        return self._job(f"train {name}", "train", self._train_spec(name, arm.train, model, source))

    def _split(self) -> tuple[Path, list[Question], Path]:
        """Training questions' file, and the evaluation questions with their group, in one file."""
        spec, out = self.spec, Path(self.spec.output)
        questions = read_questions(spec.questions)
        train_file = Path(spec.questions)
        if spec.evaluation:
            held_out = marked_questions(spec.evaluation)
        else:
            held_out, kept = hold_out(questions, spec.eval_share, spec.seed)
            train_file = out / "train.jsonl"
            write_questions(kept, train_file)
        eval_file = out / "evaluation.jsonl"
        write_questions(held_out, eval_file)
        return train_file, held_out, eval_file

    def _share(self, path: str) -> str:
        """A reference that every service can read; a path that is not here, or is too large to send, stays as it is."""
        return self._clients["teacher"].share(path)

    def _shared_spec(self) -> DistillSpec:
        spec = self.spec
        model = {
            key: self._share(value) if key in ("path", "tokenizer") and value else value
            for key, value in dict(spec.teacher.get("model") or {}).items()
        }
        changes: dict[str, Any] = {"student": self._share(spec.student), "teacher": {**spec.teacher, "model": model}}
        if spec.tools:
            changes["tools"] = self._share(spec.tools)
        return spec.model_copy(update=changes)

    def _teacher_spec(self, questions: str) -> dict[str, Any]:
        shared = {"questions": questions, "tools": self.spec.tools, "judge": self.spec.judge}
        return {**self.spec.teacher, **shared}

    def _train_spec(self, name: str, changes: dict[str, Any], model: str, source: Job) -> dict[str, Any]:
        own: dict[str, Any] = {
            "name": f"{self.spec.name}-{name}",
            "model": model,
            "judge": self.spec.judge,
        }
        own |= learns_from(lambda name: f"{ARTIFACT_SCHEME}{source.id}/{name}", changes.get("algorithm"))
        return {"seed": self.spec.seed, **self.spec.train, **changes, **own}

    def _evaluate(self, name: str, model: dict[str, Any], questions: str) -> None:
        fields = self._evaluation(model, questions)
        self._job(f"evaluate {name}", "evaluate", fields)
        if self.spec.greedy:
            self._job(f"evaluate {name} greedy", "evaluate", greedily(fields))

    def _evaluation(self, model: dict[str, Any], questions: str) -> dict[str, Any]:
        shared = {"questions": questions, "tools": self.spec.tools, "judge": self.spec.judge}
        return {**self.spec.evaluate, "model": model, **shared}

    def _job(self, label: str, kind: str, spec: dict[str, Any]) -> Job:
        started = time.monotonic()
        client = self._clients[kind]
        job = client.submit(kind, spec, key=f"{self._run_id}-{label}")
        ended = self._follow(client, job, label)
        if ended.state is JobState.CANCELLED:
            raise UserError(f"{label}: the job {job.id} was cancelled", field=label)
        if ended.state is JobState.FAILED:
            raise InfrastructureError(f"{label} failed: {ended.error} (mentor jobs logs {job.id})")
        self._stages[label] = Stage(label=label, job=ended, seconds=time.monotonic() - started)
        return ended


def marked_questions(sets: Mapping[str, EvaluationSet]) -> list[Question]:
    """The questions of evaluation sets, each marked with its set and group; references are nothing to be evaluated with.

    Raises:
        UserError: a file cannot be read, naming it.
    """
    return [
        question.model_copy(
            update={"metadata": {**question.metadata, SPLIT: name, GROUP: part.group}, "references": ()}
        )
        for name, part in sets.items()
        for question in read_questions(part.file, f"evaluation.{name}.file")
    ]


def learns_from(artifact: Callable[[str], Any], algorithm: str | None) -> dict[str, Any]:
    """The fields of a training that name what a teacher's job left; ``artifact`` makes a reference to one of its files."""
    files = {"train_files": [artifact("references.parquet")], "trajectory_files": [artifact("trajectories.jsonl")]}
    return files | ({"preference_files": [artifact("preferences.jsonl")]} if algorithm == "dpo" else {})


def greedily(evaluate: dict[str, Any]) -> dict[str, Any]:
    """The fields of an evaluation that asks every question once, greedily."""
    return {**with_sampling(evaluate, temperature=0.0), "samples": 1}


def with_sampling(fields: dict[str, Any], **changes: float) -> dict[str, Any]:
    """The fields of a job that samples, with some of its sampling parameters set."""
    return {**fields, "sampling": {**fields.get("sampling", {}), **changes}}


def hold_out(questions: list[Question], share: float, seed: int) -> tuple[list[Question], list[Question]]:
    """Split into held-out and kept questions.

    Raises:
        UserError: too few questions for one on either side.
    """
    if len(questions) < 2:
        raise UserError(f"{len(questions)} question", field="questions", allowed="2 or more, or an evaluation set")
    shuffled = random.Random(seed).sample(questions, len(questions))
    cut = min(len(questions) - 1, max(1, round(len(questions) * share)))
    marked = [
        question.model_copy(update={"metadata": {**question.metadata, SPLIT: "held_out", GROUP: "in_domain"}})
        for question in shuffled[:cut]
    ]
    return marked, shuffled[cut:]
