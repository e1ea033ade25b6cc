"""The columns under which published sets keep a question and its answers."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from mentor.chat import extract_boxed

Row = dict[str, Any]
QUESTION = ("question", "problem", "Question", "Problem", "query", "prompt", "input")
ANSWER = ("answers", "golden_answers", "answer", "final_answer", "expected_answer", "ground_truth", "target", "Answer")
SOLUTION = ("solution", "Solution", "rationale", "output")
IDENTITY = ("id", "unique_id", "ID", "_id")
_GSM8K_END = re.compile(r"####\s*(.+?)\s*$")
_SVAMP = ("Body", "Question")


def question_of(row: Row) -> str:
    """The question's text; SVAMP's original splits it into a body and a question.

    Raises:
        ValueError: there is none.
    """
    if all(isinstance(row.get(name), str) for name in _SVAMP):
        body = row["Body"].strip()
        return f"{body if body.endswith(('.', '?', '!')) else f'{body}.'} {row['Question'].strip()}"
    text = _first(row, QUESTION)
    if not isinstance(text, str) or not text.strip():
        raise ValueError(f"no question (a text in one of {', '.join(QUESTION)})")
    return text


def answers_of(row: Row) -> tuple[str, ...]:
    """Accepted answers: a column's value or values, GSM8K's line after ``####``, or a solution's last box.

    Raises:
        ValueError: there is none.
    """
    found = _texts(_first(row, ANSWER))
    if len(found) == 1 and (ending := _GSM8K_END.search(found[0])) and "\n" in found[0]:
        found = (ending.group(1).replace(",", ""),)
    if not found:
        boxed = extract_boxed(str(_first(row, SOLUTION) or ""))
        found = (boxed,) if boxed else ()
    if not found:
        raise ValueError(f"no answer (in one of {', '.join(ANSWER)}, or boxed in {', '.join(SOLUTION[:2])})")
    return found


def identity_of(row: Row, index: int) -> str:
    """The row's own id, or its index."""
    value = _first(row, IDENTITY)
    return str(index if value is None else value)


def _first(row: Row, names: Iterable[str]) -> Any:
    return next((row[name] for name in names if row.get(name) is not None), None)


def _texts(value: Any) -> tuple[str, ...]:
    if value is None:
        return ()
    values = value if isinstance(value, list | tuple) else [value]
    for item in values:
        if isinstance(item, bool) or not isinstance(item, str | int | float):
            raise ValueError(f"an answer is {type(item).__name__}, not text or a number")
    texts = (_number(item) if isinstance(item, float) else str(item) for item in values)
    return tuple(text for text in texts if text.strip())


def _number(value: float) -> str:
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
