"""From the steps of a run that is through to its record."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mentor.data import iter_trajectories, read_questions
from mentor.experiment.derive import QUESTIONS
from mentor.experiment.keys import File, canonical, run_key
from mentor.experiment.plan import EVALUATIONS, Run, Step
from mentor.experiment.records import Draw, EvaluatedQuestion, RunRecord, draw_of
from mentor.experiment.running.jobs import TRAJECTORIES
from mentor.experiment.running.metrics import METRICS, training_steps
from mentor.experiment.running.work import Work, now
from mentor.local.distill import GROUP, SPLIT
from mentor.trajectory import Question

_SPENT_ON = {"teacher": "teacher", "draw": "own", "train": "training"}
"""Roles of steps whose tokens are counted, and what they are called in a record."""


def record_of(run: Run, work: Work) -> RunRecord:
    """The record of a run all of whose steps are done."""
    metas = {role: work.meta(step.content) for role, step in run.roles.items()}
    codes = sorted({code for meta in metas.values() for code in meta.codes})
    evaluations = {role: _draws(run.roles[role], work) for role in EVALUATIONS if role in run.roles}
    asked = {draw.question for draws in evaluations.values() for draw in draws}  # max_questions may leave some out
    questions = read_questions(work.output(run.roles["questions"].content, QUESTIONS))
    trained = run.roles.get("train")
    metrics = work.output(trained.content, METRICS) if trained else None
    return RunRecord(
        key=run_key(run.content, codes),
        run=run.id,
        made_of=made_of(run, codes),
        questions=tuple(_evaluated(question) for question in questions if question.id in asked),
        evaluations=evaluations,
        steps=training_steps(metrics) if metrics else (),
        seconds={role: meta.seconds for role, meta in metas.items() if meta.job},
        tokens={name: metas[role].tokens for role, name in _SPENT_ON.items() if role in metas},
        finished=now(),
    )


def made_of(run: Run, codes: list[str]) -> dict[str, Any]:
    """What a record says of its making: ``content`` (the key without the code), ``code``, and of every step its digest and
    spec, files by their digests."""
    steps = {role: {"content": step.content, "spec": canonical(step.spec)} for role, step in run.roles.items()}
    names = {value.digest: value.path.name for step in run.roles.values() for value in _files(step.spec)}
    return {"content": run.content, "code": codes, "steps": steps, "files": dict(sorted(names.items()))}


def _files(value: Any) -> list[File]:
    if isinstance(value, File):
        return [value]
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    return [file for one in inner for file in _files(one)]


def _evaluated(question: Question) -> EvaluatedQuestion:
    known = question.metadata
    kind = question.category or known.get("kind")
    return EvaluatedQuestion(
        id=question.id, set=known[SPLIT], group=known[GROUP], kind=None if kind is None else str(kind)
    )


def _draws(step: Step, work: Work) -> tuple[Draw, ...]:
    path: Path = work.output(step.content, TRAJECTORIES)
    return tuple(draw_of(trajectory) for trajectory in iter_trajectories(path))
