"""The shapes of rows that can be scored, and each as a question with a trajectory."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from mentor.chat import extract_boxed
from mentor.trajectory import Question, Termination, Trajectory
from mentor_evaluator.scoring.turns import turns_of

Row = dict[str, Any]


@dataclass(frozen=True)
class Item:
    """One sample. ``said``: the verdict that the row carries, where it does. The others: as row or path name them."""

    question: Question
    trajectory: Trajectory
    model: str | None = None
    suite: str | None = None
    arm: str | None = None
    said: bool | None = None


@dataclass(frozen=True)
class Shape:
    """``read`` raises ``ValueError`` with what is wrong with a row; its second argument holds questions by id."""

    name: str
    fields: str
    matches: Callable[[Row], bool]
    read: Callable[[Row, Mapping[str, Question]], Item]


def _record(row: Row, questions: Mapping[str, Question]) -> Item:
    """Published evaluation records, and the output of ``batch_inference_multiturn_bench.py``."""
    text = _text(row, "question")
    answers = row["reward_model"].get("ground_truth") if isinstance(row["reward_model"], dict) else None
    given = row.get("extra_info")
    extra: dict[str, Any] = given if isinstance(given, dict) else {}
    question = Question(
        id=_identity(extra, text), question=text, answers=_answers(answers, "reward_model.ground_truth"),
        data_source=str(row.get("dataset_name") or "records"), ability=str(row.get("ability") or "math"),
        category=None if row.get("category") is None else str(row["category"]),
    )  # fmt: skip
    ran = _names(row, "tools_used") if "tools_used" in row else None
    turns = turns_of(row.get("messages") or (), _names(row, "invalid_tools_used"), ran)
    answer = row.get("model_answer")
    if answer is None and turns:
        answer = extract_boxed(turns[-1].text)
    ending = extra.get("termination")
    trajectory = Trajectory(
        question_id=question.id, question=text, turns=turns, answer=None if answer is None else str(answer),
        termination=Termination(ending) if ending in list(Termination) else Termination.ANSWERED,
        sample=extra.get("sample") if isinstance(extra.get("sample"), int) else 0, mode="chat",
    )  # fmt: skip
    return Item(
        question, trajectory, row.get("model_name"), row.get("dataset_name"), said=_yes_or_no(row.get("is_correct"))
    )


def _flashrag(row: Row, questions: Mapping[str, Question]) -> Item:
    """An item of ``intermediate_data.json``, which FlashRAG's pipelines and ``run_eval.py`` save."""
    text, output = _text(row, "question"), row["output"]
    if not isinstance(output, dict) or not isinstance(output.get("pred"), str):
        raise ValueError("output.pred is missing")
    question = Question(
        id=_identity(row, text), question=text, answers=_answers(row.get("golden_answers"), "golden_answers"),
        ability="qa", data_source="flashrag",
    )  # fmt: skip
    turns = turns_of([{"role": "assistant", "content": output.get("final_response") or output["pred"]}])
    trajectory = Trajectory(question_id=question.id, question=text, turns=turns, answer=output["pred"], mode="chat")
    scores = output.get("metric_score")
    exact = scores.get("em") if isinstance(scores, dict) else None
    return Item(question, trajectory, said=None if exact is None else exact == 1)


def _trajectory(row: Row, questions: Mapping[str, Question]) -> Item:
    """This project's own; the accepted answers come from the questions beside them."""
    try:
        trajectory = Trajectory.model_validate(row)
    except ValidationError as error:
        first = error.errors()[0]
        raise ValueError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from error
    question = questions.get(trajectory.question_id)
    if question is None:
        raise ValueError(f"no question {trajectory.question_id!r} (questions.jsonl beside the file, or --questions)")
    said = _yes_or_no(trajectory.metadata.get("correct"))
    return Item(question, trajectory, trajectory.model, question.data_source, said=said)


def _is_trajectory(row: Row) -> bool:
    return "question_id" in row and "reward_model" not in row


def _is_record(row: Row) -> bool:
    return "reward_model" in row


def _is_flashrag(row: Row) -> bool:
    return "golden_answers" in row and "output" in row


SHAPES = (
    Shape("trajectories", "question_id, turns", _is_trajectory, _trajectory),
    Shape("records", "question, reward_model, messages or model_answer", _is_record, _record),
    Shape("flashrag", "question, golden_answers, output.pred", _is_flashrag, _flashrag),
)
BFCL = "bfcl"
ACCEPTED = "; ".join([*(f"{shape.name} ({shape.fields})" for shape in SHAPES), f"{BFCL} (id, result)"])


def is_bfcl(row: Row) -> bool:
    """Whether it is a row of an official result file."""
    return "result" in row and isinstance(row.get("id"), str) and "question" not in row


def shape_of(row: Row) -> Shape | None:
    """The shape that a row has."""
    return next((shape for shape in SHAPES if shape.matches(row)), None)


def _yes_or_no(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None


def _names(row: Row, field: str) -> list[str]:
    return [name for name in row.get(field) or () if isinstance(name, str)]


def _text(row: Row, name: str) -> str:
    if not isinstance(row.get(name), str) or not row[name].strip():
        raise ValueError(f"{name} is missing")
    text: str = row[name]
    return text


def _answers(value: Any, name: str) -> tuple[str, ...]:
    values = value if isinstance(value, list | tuple) else [value]
    found = tuple(str(item) for item in values if isinstance(item, str | int | float))
    if not found or len(found) < len(values):
        raise ValueError(f"{name} is no list of answers")
    return found


def _identity(row: Mapping[str, Any], text: str) -> str:
    """The row's own id, or one made of its question."""
    value = next((row[name] for name in ("id", "index") if row.get(name) is not None), None)
    return str(value) if value is not None else hashlib.sha256(text.encode()).hexdigest()[:16]
