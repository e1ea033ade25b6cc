"""One trajectory as it was committed, read from its file; and what the index knows beside it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from mentor.errors import NotFoundError
from mentor.trajectory import Question, Trajectory
from mentor_console.index.ingest import SEPARATOR
from mentor_console.index.lines import LONGEST, UnreadableError, read, whole

NOWHERE = "there is no such trajectory"
"""Also of one that the reader may not see: the answer tells nobody what others have."""
_BESIDE = 40


@dataclass(frozen=True)
class Stored:
    """A trajectory with its row. ``trajectory`` is None where the line is none: ``raw`` is all there is to see."""

    row: Mapping[str, Any]
    raw: bytes
    trajectory: Trajectory | None
    reward: Mapping[str, float]
    problem: str | None = None

    @property
    def key(self) -> str:
        """Its address."""
        return str(self.row["key"])


def job_of(connection: sqlite3.Connection, key: str) -> str:
    """Whose a trajectory is, before anything of it is read.

    Raises:
        NotFoundError: there is none.
    """
    found = connection.execute("SELECT job FROM trajectories WHERE key = ?", (key,)).fetchone()
    if found is None:
        raise NotFoundError(NOWHERE, field="key")
    return str(found[0])


def load(connection: sqlite3.Connection, folder: Path, key: str) -> Stored:
    """A trajectory by its address.

    Raises:
        NotFoundError: there is none, or its file has gone from the cache.
    """
    found = connection.execute(
        "SELECT t.*, f.path FROM trajectories t JOIN files f ON f.file = t.file WHERE t.key = ?", (key,)
    ).fetchone()
    if found is None:
        raise NotFoundError(NOWHERE, field="key")
    row = dict(found)
    row |= {name: [v for v in row[name].split(SEPARATOR) if v] for name in ("tools", "errors")}
    raw = _bytes(folder / row["path"], row["offset"], min(row["length"], LONGEST))
    try:
        line = read(raw)
        told = line.get("trajectory", line)
        reward = line.get("reward") if isinstance(line.get("reward"), dict) else {}
        trajectory = Trajectory.model_validate(whole(told))
    except (UnreadableError, ValidationError, RecursionError) as error:
        return Stored(row, raw, None, {}, _reason(error))
    return Stored(row, raw, trajectory, {n: float(v) for n, v in (reward or {}).items() if isinstance(v, (int, float))})


def blocks_of(folder: Path, stored: Stored) -> Iterator[bytes]:
    """The line as it was committed, however long."""
    left = int(stored.row["length"])
    with (folder / stored.row["path"]).open("rb") as file:
        file.seek(stored.row["offset"])
        while left > 0 and (block := file.read(min(left, 1 << 20))):
            left -= len(block)
            yield block


def question_of(
    connection: sqlite3.Connection,
    folder: Path,
    stored: Stored,
    spec: Mapping[str, Any],
    jobs: Collection[str] | None,
) -> Question | None:
    """The question with answers and references: as the trajectory's own job has it, or a visible job that its spec names."""
    rows = connection.execute(
        "SELECT q.*, f.path FROM questions q JOIN files f ON f.file = q.file WHERE q.question = ?",
        (stored.row["question"],),
    ).fetchall()
    named = str(dict(spec))
    own = [row for row in rows if row["job"] == stored.row["job"]]
    ranked = own + [row for row in rows if row["job"] in named and (jobs is None or row["job"] in jobs)]
    for row in ranked:
        try:
            return Question.model_validate(whole(read(_bytes(folder / row["path"], row["offset"], row["length"]))))
        except (UnreadableError, ValidationError, NotFoundError):
            continue
    return None


def spec_of(connection: sqlite3.Connection, job: str) -> Mapping[str, Any]:
    """The spec of a job; empty where it is not known."""
    found = connection.execute("SELECT spec FROM jobs WHERE job = ?", (job,)).fetchone()
    spec = read(found[0].encode())["spec"] if found else {}
    return spec if isinstance(spec, dict) else {}


def same_question(connection: sqlite3.Connection, stored: Stored, jobs: Collection[str] | None) -> list[dict[str, Any]]:
    """Others of the question: right ones of teachers, other ones of teachers, those of the same job, then the newest."""
    mine = "" if jobs is None else " AND job IN (SELECT value FROM json_each(?))"
    rows = connection.execute(
        f"SELECT * FROM trajectories WHERE question = ? AND key != ?{mine}"
        " ORDER BY (kind = 'teacher') * (1 + coalesce(correct, 0)) DESC, job = ? DESC, id DESC LIMIT ?",
        (
            stored.row["question"],
            stored.key,
            *([] if jobs is None else [json.dumps(sorted(jobs))]),
            stored.row["job"],
            _BESIDE,
        ),
    ).fetchall()
    return [dict(row) for row in rows]


def _bytes(path: Path, offset: int, length: int) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(offset)
            return file.read(length)
    except OSError as error:
        raise NotFoundError(f"the trajectory's file is no longer in the cache: {error.strerror}", field="key") from None


def _reason(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    return str(error) or "too deep"
