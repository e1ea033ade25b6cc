"""Files into the index, in batches: a reader sees whole transactions, a crash loses at most one."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from typing import Self

from mentor_console.index.facts import Facts, Origin, body_of, facts_of, unreadable
from mentor_console.index.lines import LONGEST, UnreadableError, read

_BATCH = 1000
_TOGETHER = 5000
"""Rows to a transaction: each of them writes a segment of the full-text table, and segments have to be merged."""
_BUFFER = 1024 * 1024
_COLUMNS = (
    "id", "key", "job", "kind", "model", "suite", "arm", "question", "sample", "step", "correct", "termination", "reward",
    "tools", "errors", "calls", "turns", "tokens", "seconds", "title", "file", "offset", "length",
)  # fmt: skip
_INSERT = f"INSERT INTO trajectories ({', '.join(_COLUMNS)}) VALUES ({', '.join(':' + c for c in _COLUMNS)})"
SEPARATOR = "\x1f"
"""Between the tools, and the error kinds, of a row."""


def key_of(origin: Origin, question: str, sample: int) -> str:
    """A trajectory's address: the same however often it is fetched and indexed again."""
    parts = (origin.job, origin.model if origin.suite else "", origin.suite, origin.arm, origin.step, question, sample)
    joined = "\x1f".join(map(str, parts))
    return blake2b(joined.encode("utf-8", "replace"), digest_size=10).hexdigest()


class Writing:
    """Transactions over several files; one that fails leaves what was committed before it."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self._rows = 0

    def __enter__(self) -> Self:
        # Not IMMEDIATE, which would lock people's notes too; of the index there is no other writer.
        self.connection.execute("BEGIN")
        return self

    def added(self, rows: int) -> None:
        """So many more; commits where there are enough."""
        self._rows += rows
        if self._rows >= _TOGETHER:
            self.connection.execute("COMMIT")
            self._rows = 0
            self.connection.execute("BEGIN")

    def __exit__(self, kind: object, *error: object) -> None:
        if self.connection.in_transaction:  # an error of the disk has ended it
            self.connection.execute("COMMIT" if kind is None else "ROLLBACK")


def ingest(writing: Writing, path: Path, file: int, origin: Origin) -> int:
    """Index the trajectories of a file; the last word on a (question, sample) counts. Returns how many lines it had."""
    batch: list[tuple[Facts, int, int]] = []
    lines = 0
    for number, (line, offset, length) in enumerate(_lines(path), start=1):
        try:
            facts = facts_of(read(line), origin)
        except UnreadableError:
            facts = unreadable(line, number)
        batch.append((facts, offset, length))
        lines = number
        if len(batch) >= _BATCH:
            _write(writing, batch, file, origin)
            batch = []
    _write(writing, batch, file, origin)
    return lines


def ingest_questions(writing: Writing, path: Path, file: int, job: str) -> None:
    """Remember where a file's questions stand, with their answers and references."""
    rows = []
    for line, offset, length in _lines(path):
        try:
            name = read(line).get("id")
        except UnreadableError:
            continue
        if isinstance(name, str):
            rows.append((name, file, job, offset, length))
    writing.connection.executemany("INSERT OR REPLACE INTO questions VALUES (?, ?, ?, ?, ?)", rows)
    writing.added(len(rows))


def _lines(path: Path) -> Iterator[tuple[bytes, int, int]]:
    """Lines, where they begin, and how long they are; of one that is too long, the beginning."""
    offset = 0
    with path.open("rb", buffering=_BUFFER) as file:
        while line := file.readline(LONGEST):
            length, last = len(line), line
            while len(last) == LONGEST and not last.endswith(b"\n") and (last := file.readline(LONGEST)):
                length += len(last)
            if line.strip():
                yield line, offset, length
            offset += length


def _write(writing: Writing, batch: list[tuple[Facts, int, int]], file: int, origin: Origin) -> None:
    if not batch:
        return
    connection, first = writing.connection, _next_id(writing.connection)
    rows = [_row(*entry, file, origin, first + place) for place, entry in enumerate(batch)]
    latest = {row["key"]: row for row in rows}
    connection.executemany("DELETE FROM trajectories WHERE key = ?", [(key,) for key in latest])
    connection.executemany(_INSERT, list(latest.values()))
    bodies = ((first + place, body_of(facts, origin)) for place, (facts, _, _) in enumerate(batch))
    connection.executemany("INSERT INTO words (rowid, body) VALUES (?, ?)", bodies)
    writing.added(len(batch))


def _next_id(connection: sqlite3.Connection) -> int:
    """Above every id that there ever was: the full-text table still knows those of rows that are gone."""
    found = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'trajectories'").fetchone()
    return int(found[0]) + 1 if found else 1


def _row(facts: Facts, offset: int, length: int, file: int, origin: Origin, number: int) -> dict[str, object]:
    return {
        "id": number, "key": key_of(origin, facts.question, facts.sample), "job": origin.job, "kind": origin.kind,
        "model": facts.model, "suite": origin.suite, "arm": origin.arm, "question": facts.question, "sample": facts.sample,
        "step": origin.step, "correct": None if facts.correct is None else int(facts.correct),
        "termination": facts.termination, "reward": facts.reward, "tools": SEPARATOR.join(facts.tools),
        "errors": SEPARATOR.join(facts.errors), "calls": facts.calls, "turns": facts.turns, "tokens": facts.tokens,
        "seconds": facts.seconds, "title": facts.title, "file": file, "offset": offset, "length": length,
    }  # fmt: skip
