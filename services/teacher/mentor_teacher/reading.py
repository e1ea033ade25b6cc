"""What importers share: rows of a file with their places, options, and what was rejected."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mentor.data.files import check_readable
from mentor.errors import UserError
from mentor.trajectory import Question, Trajectory

Row = dict[str, Any]
Read = Callable[[Row, str], tuple[Question, Trajectory | None]]
"""A row and its id as a question and, where it has one, its trace; raises ``ValueError`` with why it is rejected."""


def take_options(options: Mapping[str, str], known: Sequence[str]) -> dict[str, str]:
    """The options, all of them known.

    Raises:
        UserError: one is not.
    """
    unknown = sorted(set(options) - set(known))
    if unknown:
        allowed = ", ".join(known) or "none"
        raise UserError(f"unknown option {unknown[0]!r}", field=f"importer_options.{unknown[0]}", allowed=allowed)
    return dict(options)


def rows(path: Path) -> Iterator[tuple[str, Row]]:
    """Rows of JSON lines, a JSON list, CSV, TSV or parquet, by suffix, each with its place.

    Raises:
        UserError: the file cannot be read, has another suffix, or a line of it is no JSON object.
    """
    check_readable(path, "questions")
    readers = {".csv": _table, ".tsv": _table, ".parquet": _parquet, ".jsonl": _lines, ".json": _lines}
    reader = readers.get(path.suffix)
    if reader is None:
        raise UserError(f"{path} has an unknown suffix", field="questions", allowed=", ".join(readers))
    yield from reader(path)


def read_rows(path: Path, read: Read, id_column: str = "id") -> tuple[list[Question], list[Trajectory], list[str]]:
    """Questions, traces, and what was rejected with its reason. A row without an id of its own gets its number.

    Raises:
        UserError: as ``rows``.
    """
    questions: dict[str, Question] = {}
    traces: list[Trajectory] = []
    rejected: list[str] = []
    for number, (place, row) in enumerate(rows(path)):
        name = str(row.get(id_column) if row.get(id_column) is not None else number)
        try:
            if name in questions:
                raise ValueError(f"the id {name!r} occurs twice")
            question, trace = read(row, name)
        except ValueError as error:
            rejected.append(f"{place}: {error}")
            continue
        questions[name] = question
        if trace is not None:
            traces.append(trace)
    return list(questions.values()), traces, rejected


def text_of(row: Row, *names: str) -> str:
    """The first of these columns that holds a text or a number.

    Raises:
        ValueError: none does.
    """
    for name in names:
        value = row.get(name)
        if isinstance(value, str | int | float) and not isinstance(value, bool) and str(value).strip():
            return str(value)
    raise ValueError(f"no {' or '.join(names)}")


def answers_of(row: Row) -> list[str]:
    """Accepted answers of a row that has some: ``reward_model.ground_truth``, ``answers``, ``golden_answers`` or ``answer``."""
    ground = row.get("reward_model")
    found: Any = ground.get("ground_truth") if isinstance(ground, dict) else None
    found = next((row[n] for n in ("answers", "golden_answers", "answer") if row.get(n) is not None), found)
    return [] if found is None else [str(value) for value in (found if isinstance(found, list) else [found])]


def _lines(path: Path) -> Iterator[tuple[str, Row]]:
    text = path.read_text(encoding="utf-8", errors="replace")
    if text.lstrip().startswith("["):
        yield from ((f"item {n}", _object(row, f"{path}: item {n}")) for n, row in enumerate(_json(text, str(path))))
        return
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            place = f"{path}:{number}"
            yield f"line {number}", _object(_json(line, place), place)


def _json(text: str, place: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise UserError(f"{place} is not JSON: {error.msg}", field="questions") from error


def _object(row: Any, place: str) -> Row:
    if not isinstance(row, dict):
        raise UserError(f"{place} is no object", field="questions", allowed="an object a line")
    return row


def _table(path: Path) -> Iterator[tuple[str, Row]]:
    with path.open(newline="", encoding="utf-8", errors="replace") as file:
        reader = csv.DictReader(file, delimiter="\t" if path.suffix == ".tsv" else ",")
        for row in reader:
            yield f"line {reader.line_num}", {str(k): v for k, v in row.items() if k is not None}


def _parquet(path: Path) -> Iterator[tuple[str, Row]]:
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
    except (OSError, ValueError) as error:
        raise UserError(f"{path} is no parquet file: {str(error).splitlines()[0]}", field="questions") from error
    yield from ((f"row {n}", row) for n, row in enumerate(table.to_pylist()))
