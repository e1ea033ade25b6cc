"""Rows of JSON lines, a JSON list, or parquet, each with its place; what is wrong with some of them, all at once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from mentor.data.files import check_readable
from mentor.errors import UserError
from mentor.trajectory import Question

Row = dict[str, Any]
ToQuestion = Callable[[Row, int], Question]
"""A row and its index as a question; raises ``ValueError`` with what is wrong."""
_SHOWN = 5
SUFFIXES = (".jsonl", ".json", ".parquet")


def read(file: Path, to_question: ToQuestion, *, skip_broken: bool) -> tuple[list[Question], list[str]]:
    """The questions of a file, and the rows that were left out, as ``PLACE: PROBLEM``.

    Raises:
        UserError: the file cannot be read or holds no question; or rows are malformed and ``skip_broken`` is false: it
            names the first of them by line (or row) number, and how many there are.
    """
    check_readable(file, "suites")
    questions: list[Question] = []
    problems: list[str] = []
    seen: set[str] = set()
    for index, (place, row) in enumerate(raw(file)):
        try:
            question = to_question(parsed(row), index)
            if question.id in seen:
                raise ValueError(f"the id {question.id!r} occurs twice")
        except ValueError as error:
            problems.append(f"{place}: {error}")
            continue
        seen.add(question.id)
        questions.append(question)
    if problems and not skip_broken:
        more = f" (and {len(problems) - _SHOWN} more)" if len(problems) > _SHOWN else ""
        raise UserError(
            f"{file}: {len(problems)} rows are malformed: {'; '.join(problems[:_SHOWN])}{more}",
            field="suites", allowed="well-formed rows, or skip_broken: true for the rest",
        )  # fmt: skip
    if not questions:
        raise UserError(f"{file} holds no question", field="suites", allowed="at least one")
    return questions, problems


def checksum(file: Path) -> str:
    """SHA-256 of a file."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def parsed(row: Row | str) -> Row:
    """A row as an object; raises ``ValueError`` with what it is instead."""
    if isinstance(row, str):
        try:
            row = json.loads(row)
        except json.JSONDecodeError as error:
            raise ValueError(f"not JSON: {error.msg}") from error
    if not isinstance(row, dict):
        raise ValueError("not an object")
    return row


def raw(file: Path, field: str = "suites") -> Iterator[tuple[str, Row | str]]:
    """Rows of JSON lines (as text), a JSON list or parquet, each with its place.

    Raises:
        UserError: the file is none of these; it names ``field``.
    """
    if file.suffix == ".parquet":
        import pyarrow.parquet as pq

        try:
            rows = pq.read_table(file).to_pylist()
        except (OSError, ValueError) as error:
            raise UserError(f"{file} is no parquet file: {str(error).splitlines()[0]}", field=field) from error
        yield from ((f"row {index}", row) for index, row in enumerate(rows))
        return
    text = file.read_text(encoding="utf-8", errors="replace")
    if text.lstrip().startswith("["):
        try:
            rows = json.loads(text)
        except json.JSONDecodeError as error:
            raise UserError(f"{file}:{error.lineno} is not JSON: {error.msg}", field=field) from error
        yield from ((f"item {index}", row) for index, row in enumerate(rows))
        return
    yield from ((f"line {n}", line) for n, line in enumerate(text.split("\n"), start=1) if line.strip())
