"""Read question sets: our JSON lines, FlashRAG's, plain ``question``/``answer`` lines, and the published parquet."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from mentor.data.files import JsonLine, check_readable, json_lines, write_text
from mentor.errors import UserError
from mentor.trajectory import Question

_OWN_FIELDS = frozenset(Question.model_fields) - {"messages"}
"""Columns named ``messages`` in users' files hold whole conversations, answers included: they are never shown to a model."""
_ALLOWED = '{"question": ..., "answers": [...]}'


def read_questions(path: str | Path, field: str = "questions") -> list[Question]:
    """Read a question set, by suffix (``.jsonl`` or ``.parquet``).

    Raises:
        UserError: the file is missing, malformed (with its line), has no question, or uses an id twice.
    """
    file = Path(path)
    check_readable(file, field)
    if file.suffix == ".parquet":
        from mentor.data.parquet import read_parquet

        questions = read_parquet(file, field)
    elif file.suffix in (".jsonl", ".json"):
        questions = [_question(line, field) for line in json_lines(file, field, _ALLOWED)]
    else:
        raise UserError(f"{file} has an unknown suffix", field=field, allowed=".jsonl or .parquet")
    if not questions:
        raise UserError(f"{file} holds no question", field=field, allowed="at least one")
    _check_unique(questions, file, field)
    return questions


def write_questions(questions: Iterable[Question], path: str | Path) -> None:
    """Write JSON lines atomically."""
    write_text(Path(path), "".join(q.model_dump_json(exclude_defaults=True) + "\n" for q in questions))


def _question(line: JsonLine, field: str) -> Question:
    try:
        return Question.model_validate(normalize_row(line.value, line.row))
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(map(str, first["loc"]))
        raise UserError(f"{line.place}: {name}: {first['msg']}", field=field) from error


def normalize_row(row: dict[str, Any], index: int) -> dict[str, Any]:
    """A row of any accepted shape as fields of ``Question``; what has no field of its own goes to ``metadata``."""
    row = dict(row)
    answers = next((row.pop(k) for k in ("answers", "golden_answers", "answer", "ground_truth") if k in row), ())
    row["answers"] = [str(a) for a in answers] if isinstance(answers, list | tuple) else [str(answers)]
    row["id"] = str(row.get("id", index))
    if "benchmark" in row:
        row.setdefault("data_source", row.pop("benchmark"))
    extra = {k: row.pop(k) for k in list(row) if k not in _OWN_FIELDS}
    if extra:
        row["metadata"] = {**(row.get("metadata") or {}), **extra}
    return row


def _check_unique(questions: list[Question], file: Path, field: str) -> None:
    seen: set[str] = set()
    for question in questions:
        if question.id in seen:
            raise UserError(f"{file}: the id {question.id!r} occurs twice", field=field, allowed="unique ids")
        seen.add(question.id)
