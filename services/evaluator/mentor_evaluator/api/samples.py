"""Pages of samples of a run, by a filter that people can type: ``suite:gsm8k,correct:false,error:tool_error``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from pydantic import BaseModel

from mentor.errors import UserError
from mentor.rollout.solve import CORRECT, VERDICT
from mentor.trajectory import Question, Termination, Trajectory
from mentor_evaluator.runs import CellFolder, Run

MAX_PAGE = 200
_YES_NO = {"true": True, "false": False}


class Sample(BaseModel):
    """One scored trajectory with its question."""

    cell: str
    question: str
    answers: list[str]
    correct: bool
    reason: str | None
    trajectory: dict[str, Any]


class SamplePage(BaseModel):
    """``total`` counts the samples that meet the filter, over all pages."""

    samples: list[Sample]
    total: int
    page: int
    page_size: int


_Condition = Callable[[CellFolder, Trajectory], bool]


def page_of(run: Run, conditions: str, page: int, page_size: int) -> SamplePage:
    """A page of a run's samples, in the order of cells and of drawing.

    Raises:
        UserError: a bad filter, page or page size.
    """
    if page < 1:
        raise UserError(f"page is {page}", field="page", allowed="1 or more")
    if not 1 <= page_size <= MAX_PAGE:
        raise UserError(f"page_size is {page_size}", field="page_size", allowed=f"1 to {MAX_PAGE}")
    first, last = (page - 1) * page_size, page * page_size
    chosen: list[Sample] = []
    total = 0
    for cell, trajectories in _matching(run, parse_filter(conditions)):
        wanted = trajectories[max(0, first - total) : max(0, last - total)]
        if wanted:
            questions = {question.id: question for question in cell.questions}
            chosen += [_sample(cell, questions[t.question_id], t) for t in wanted]
        total += len(trajectories)
    return SamplePage(samples=chosen, total=total, page=page, page_size=page_size)


def parse_filter(text: str) -> list[_Condition]:
    """The conditions of a filter.

    Raises:
        UserError: one is unknown or malformed.
    """
    return [_condition(part.strip()) for part in text.split(",") if part.strip()]


def _condition(part: str) -> _Condition:
    name, colon, value = part.partition(":")
    make = _CONDITIONS.get(name)
    if make is None or not colon:
        raise UserError(
            f"filter: {part!r} is no condition", field="filter", allowed=", ".join(f"{n}:…" for n in _CONDITIONS)
        )
    return make(value)


def _correct(value: str) -> _Condition:
    if value not in _YES_NO:
        raise UserError(f"filter: correct is {value!r}", field="filter", allowed="true or false")
    return lambda cell, t: bool(t.metadata.get(CORRECT)) is _YES_NO[value]


def _termination(value: str) -> _Condition:
    if value not in list(Termination):
        raise UserError(f"filter: termination is {value!r}", field="filter", allowed=", ".join(Termination))
    return lambda cell, t: t.termination == value


def _text(value: str) -> _Condition:
    wanted = value.lower()
    return lambda cell, t: any(wanted in text.lower() for text in _texts(t))


def _texts(trajectory: Trajectory) -> Iterator[str]:
    yield trajectory.question
    for turn in trajectory.turns:
        yield turn.text
        yield from (observation.content for observation in turn.observations)


_CONDITIONS: dict[str, Callable[[str], _Condition]] = {
    "cell": lambda value: lambda cell, t: cell.key == value,
    "model": lambda value: lambda cell, t: cell.model == value,
    "suite": lambda value: lambda cell, t: cell.suite == value,
    "arm": lambda value: lambda cell, t: cell.arm == value,
    "question": lambda value: lambda cell, t: t.question_id == value,
    "correct": _correct,
    "termination": _termination,
    "tool": lambda value: lambda cell, t: value in t.attempted_names,
    "error": lambda value: lambda cell, t: any(o.error_type == value for o in t.observations),
    "reason": lambda value: lambda cell, t: (t.metadata.get(VERDICT) or {}).get("reason") == value,
    "text": _text,
}


def _matching(run: Run, conditions: list[_Condition]) -> Iterator[tuple[CellFolder, list[Trajectory]]]:
    for cell in run.cells():
        yield cell, [t for t in cell.trajectories if all(condition(cell, t) for condition in conditions)]


def _sample(cell: CellFolder, question: Question, trajectory: Trajectory) -> Sample:
    return Sample(
        cell=cell.key,
        question=question.question,
        answers=list(question.answers),
        correct=bool(trajectory.metadata.get(CORRECT)),
        reason=(trajectory.metadata.get(VERDICT) or {}).get("reason"),
        trajectory=trajectory.model_dump(mode="json"),
    )
