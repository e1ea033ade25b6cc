"""JSON lines in, JSON lines out: the form of every command that works on data.

A line that cannot be processed gives a line with ``error`` in its place, so that input and output stay aligned; the
command then ends with exit code 1, and says on standard error which line was the first.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

import typer
from pydantic import BaseModel, ValidationError

from mentor.errors import MentorError, UserError

Row = dict[str, Any]


def process_lines(source: Path | None, work: Callable[[Row], Any]) -> None:
    """Apply ``work`` to every line of a file (or standard input) and print the results.

    Raises:
        typer.Exit: with code 1 if any line failed.
        UserError: the file cannot be read.
    """
    failures = 0
    with _open(source) as lines:
        for number, line in _numbered(lines):
            try:
                result = work(_row(line))
            except UserError as error:
                failures += 1
                result = error.to_body()["error"] | {"line": number}
                result = {"error": result}
                if failures == 1:
                    typer.echo(f"error: line {number}: {error}", err=True)
            typer.echo(json.dumps(result.model_dump() if isinstance(result, BaseModel) else result, ensure_ascii=False))
    if failures:
        raise typer.Exit(1)


def _numbered(lines: Iterable[str]) -> Iterator[tuple[int, str]]:
    return ((number, line) for number, line in enumerate(lines, start=1) if line.strip())


@contextmanager
def _open(source: Path | None) -> Iterator[TextIO]:
    if source is None or str(source) == "-":
        yield sys.stdin
        return
    try:
        with source.open(encoding="utf-8", errors="replace") as file:
            yield file
    except OSError as error:
        raise UserError(f"cannot read {source}: {error.strerror}", field="FILE") from error


def _row(line: str) -> Row:
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise UserError(f"not JSON: {error.msg}", field="line", allowed="one JSON object per line") from error
    if not isinstance(row, dict):
        raise UserError(f"a {type(row).__name__}", field="line", allowed="one JSON object per line")
    return row


def take(row: Row, field: str, kind: type | tuple[type, ...], allowed: str, default: Any = ...) -> Any:
    """A field of a row.

    Raises:
        UserError: it is missing (and has no default) or of another type.
    """
    if field not in row:
        if default is ...:
            raise UserError(f"{field} is missing", field=field, allowed=allowed)
        return default
    value = row[field]
    if not isinstance(value, kind) or (isinstance(value, bool) and kind in (int, (int, float))):
        raise UserError(f"{field} is {value!r}", field=field, allowed=allowed)
    return value


def texts(row: Row, field: str) -> list[str]:
    """A field that holds a string or number, or a list of them, as strings."""
    value = take(row, field, (str, int, float, list), "a string or a list of strings")
    values = value if isinstance(value, list) else [value]
    if not values or not all(isinstance(v, str | int | float) and not isinstance(v, bool) for v in values):
        raise UserError(f"{field} is {value!r}", field=field, allowed="a string or a non-empty list of strings")
    return [str(v) for v in values]


def parse_model(model: type[BaseModel], value: Any, field: str) -> Any:
    """A value as a model; raises ``UserError`` naming the inner field."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join((field, *map(str, first["loc"])))
        raise UserError(f"{where}: {first['msg']}", field=where) from error


@contextmanager
def clear_errors() -> Iterator[None]:
    """Turn typed errors into one line on standard error and exit code 2 (ours: 1)."""
    try:
        yield
    except UserError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(2) from error
    except MentorError as error:
        typer.echo(f"error: {error.message}", err=True)
        raise typer.Exit(1) from error
