"""Finds trajectories: filters as a page's address has them, one page by key, facets of what was found."""

from __future__ import annotations

import json
import sqlite3
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable
from itertools import groupby, islice
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from mentor.errors import UserError
from mentor.trajectory import Frozen
from mentor_console.index.facts import facet, outcome
from mentor_console.index.ingest import SEPARATOR
from mentor_console.index.phrases import Looking, phrases_of

PAGE = 50
COUNTED = 2000
"""Facets count the newest so many of what a filter finds: their cost is bounded, and the page says so."""
_SHOWN = 12
_WORDS, _BEGINNING = 32, 2
EXACT = ("job", "kind", "model", "suite", "arm", "question", "step", "correct", "termination", "tool", "error")
_MANY = {"tool": "tools", "error": "errors"}
_COUNTED = tuple(name for name in EXACT if name not in ("question", "step"))


class Filters(Frozen):
    """What is wanted. Everything that is set has to hold. ``text``: all of these words; one that ends in ``*`` begins so, and
    those in quotes stand one behind another."""

    text: str = Field(default="", max_length=1000)
    job: str = Field(default="", max_length=200)
    kind: str = Field(default="", max_length=100)
    model: str = Field(default="", max_length=200)
    suite: str = Field(default="", max_length=200)
    arm: str = Field(default="", max_length=200)
    question: str = Field(default="", max_length=500)
    step: int | None = Field(default=None, ge=0, le=10**9)
    step_from: int | None = Field(default=None, ge=0, le=10**9)
    step_to: int | None = Field(default=None, ge=0, le=10**9)
    correct: Literal["", "right", "wrong", "unknown"] = ""
    termination: str = Field(default="", max_length=40)
    tool: str = Field(default="", max_length=100)
    error: str = Field(default="", max_length=100)
    reward_from: float | None = Field(default=None, allow_inf_nan=False)
    reward_to: float | None = Field(default=None, allow_inf_nan=False)
    tag: str = Field(default="", max_length=64)

    def address(self, **changes: Any) -> dict[str, str]:
        """The fields of a page's address for this filter with changes; None takes one away."""
        values = self.model_dump() | changes
        return {name: str(value) for name, value in values.items() if value not in (None, "")}


class Page(Frozen):
    """Rows, newest first. ``older`` and ``newer``: ids to go on from, None where there is nothing. ``looked``: so many were
    read for a phrase when the time for it was over; None where nothing was left unread."""

    rows: tuple[dict[str, Any], ...]
    older: int | None = None
    newer: int | None = None
    looked: int | None = None


class Facets(Frozen):
    """Values with how often they occur among the newest ``counted``; ``all``: whether those are everything."""

    counted: int
    all: bool
    values: dict[str, tuple[tuple[str, int], ...]]


def find(
    connection: sqlite3.Connection,
    filters: Filters,
    jobs: Collection[str] | None = None,
    *,
    folder: Path = Path(),
    before: int | None = None,
    after: int | None = None,
    limit: int = PAGE,
) -> Page:
    """A page of what the filters find among ``jobs`` (None: all).

    Args:
        folder: where the files are, which are read for phrases.
        before: ids below it; ``after``: those next above it.

    Raises:
        UserError: too many words.
    """
    source, conditions, values = _where(filters, jobs)
    number, up = "words.rowid" if "words" in source else "t.id", after is not None
    if before is not None or after is not None:
        conditions.append(f"{number} {'>' if up else '<'} ?")
        values.append(after if up else before)
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    order = f"ORDER BY {number} {'ASC' if up else 'DESC'}"
    looking = Looking(folder, phrases) if (phrases := phrases_of(filters.text)) else None
    if looking is None:
        rows: Iterable[sqlite3.Row] = connection.execute(
            f"SELECT t.* FROM {source}{where} {order} LIMIT ?", [*values, limit + 1]
        )
    else:
        joined = f"SELECT t.*, f.path FROM {source} CROSS JOIN files f ON f.file = t.file{where} {order}"
        rows = looking.fitting(connection.execute(joined, values))
    found = [dict(row) for row in islice(rows, limit + 1)]
    return _page(found, limit, up, before is not None, looking)


def _page(found: list[dict[str, Any]], limit: int, up: bool, later: bool, looking: Looking | None) -> Page:
    """Of the rows that were found, one more than fits where there is more; ``later``: the page follows another."""
    more, rows = len(found) > limit, found[:limit]
    over = looking is not None and looking.over
    if up:
        rows.reverse()
    older = rows[-1]["id"] if rows and (up or more) else None
    newer = rows[0]["id"] if rows and (more if up else later) else None
    if looking is not None and over:
        older, newer = (older, looking.last) if up else (looking.last, newer)
    looked = looking.looked if looking is not None and over else None
    return Page(rows=tuple(map(_spelled, rows)), older=older, newer=newer, looked=looked)


def facets_of(page: Page) -> Facets:
    """As ``facets``, of the page's own rows: to count the others that have a phrase, all of them would have to be read."""
    columns = {name: _MANY.get(name, name) for name in _COUNTED}
    counts = {}
    for name, column in columns.items():
        values = (SEPARATOR.join(row[column]) if name in _MANY else row[column] for row in page.rows)
        counts[name] = _counted(name, Counter(values))
    shown = {name: tuple(counter.most_common(_SHOWN)) for name, counter in counts.items() if counter}
    return Facets(counted=len(page.rows), all=page.older is None and page.newer is None, values=shown)


def facets(connection: sqlite3.Connection, filters: Filters, jobs: Collection[str] | None = None) -> Facets:
    """What else could be narrowed; costs at most ``COUNTED`` rows."""
    source, conditions, values = _where(filters, jobs)
    number = "words.rowid" if "words" in source else "t.id"
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    columns = ", ".join(f"t.{_MANY.get(name, name)}" for name in _COUNTED)
    statement = f"SELECT {columns} FROM {source}{where} ORDER BY {number} DESC LIMIT ?"
    rows = connection.execute(statement, [*values, COUNTED + 1]).fetchall()
    counted = rows[:COUNTED]
    counts = {name: _counted(name, Counter(row[place] for row in counted)) for place, name in enumerate(_COUNTED)}
    shown = {name: tuple(counter.most_common(_SHOWN)) for name, counter in counts.items() if counter}
    return Facets(counted=len(counted), all=len(rows) <= COUNTED, values=shown)


def jobs_known(connection: sqlite3.Connection) -> dict[str, str]:
    """Service by job, of everything in the index."""
    return dict(connection.execute("SELECT job, service FROM jobs").fetchall())


def _counted(name: str, counter: Counter[Any]) -> Counter[str]:
    """How often each value of a facet occurs, from how often its column's values do."""
    found: Counter[str] = Counter()
    for value, count in counter.items():
        if name == "correct":
            found[outcome(value)] += count
        else:
            for single in dict.fromkeys(filter(None, value.split(SEPARATOR))):
                found[single] += count
    return found


def _spelled(row: dict[str, Any]) -> dict[str, Any]:
    return row | {name: [v for v in row[name].split(SEPARATOR) if v] for name in _MANY.values()}


def _where(filters: Filters, jobs: Collection[str] | None) -> tuple[str, list[str], list[Any]]:
    """Tables, conditions and their values."""
    conditions: list[str] = []
    values: list[Any] = []
    terms = [
        *_terms(filters.text),
        *(f'"{facet(n, v)}"' for n in EXACT if (v := getattr(filters, n)) not in (None, "")),
    ]
    source = "trajectories t"
    if terms:
        source = "words CROSS JOIN trajectories t ON t.id = words.rowid"
        conditions.append("words MATCH ?")
        values.append(" AND ".join(terms))
    for name, sign, column in (
        ("step_from", ">=", "step"), ("step_to", "<=", "step"), ("reward_from", ">=", "reward"), ("reward_to", "<=", "reward"),
    ):  # fmt: skip
        if (bound := getattr(filters, name)) is not None:
            conditions.append(f"t.{column} {sign} ?")
            values.append(bound)
    if filters.tag:
        conditions.append("t.key IN (SELECT key FROM kept.tags WHERE tag = ?)")
        values.append(filters.tag)
    if jobs is not None:
        # One value, however many jobs there are.
        conditions.append("t.job IN (SELECT value FROM json_each(?))")
        values.append(json.dumps(sorted(jobs)))
    return source, conditions, values


def _terms(text: str) -> list[str]:
    """Words for the full-text table, cut as its tokenizer cuts them, so that none is more than one token.

    Raises:
        UserError: too many, or a beginning too short.
    """
    terms = []
    for kind, run in groupby(text, key=_of_word):
        word = "".join(run)
        if kind:
            terms.append(f'"{word}"')
        elif word.startswith("*") and terms:
            if len(terms[-1]) < _BEGINNING + 2:
                raise UserError(
                    f"{terms[-1]}* begins too many words", field="text", allowed=f"{_BEGINNING} letters or more"
                )
            terms[-1] += "*"
    if len(terms) > _WORDS:
        raise UserError(f"{len(terms)} words", field="text", allowed=f"{_WORDS} or fewer")
    return terms


def _of_word(character: str) -> bool:
    return unicodedata.category(character)[0] in "LN"
