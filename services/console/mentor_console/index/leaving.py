"""What leaves the index: an artefact of which a later version came, a job that is no more, and, where the cache is full, the
trajectories of the jobs that ended longest ago."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from mentor.trajectory import Frozen
from mentor_console.index.facts import UNREADABLE, Facts, Origin, body_of, facts_of, unreadable
from mentor_console.index.lines import LONGEST, UnreadableError, read

_BATCH = 500
GB = 1e9


class Gone(Frozen):
    """Jobs whose trajectories were let go, and when the last of them had ended."""

    jobs: int
    until: float


def drop(connection: sqlite3.Connection, cache: Path, job: str, artifact: str | None) -> None:
    """Take an artefact, or (None) a whole job, out of the index; its files are still there."""
    of = "job = ?" if artifact is None else "job = ? AND artifact = ?"
    values = (job,) if artifact is None else (job, artifact)
    _drop_files(connection, cache, of, values)
    connection.execute(f"DELETE FROM done WHERE {of}", values)
    if artifact is None:
        connection.execute("DELETE FROM jobs WHERE job = ?", (job,))


def keep_within(connection: sqlite3.Connection, cache: Path, most_gb: float, folder_of: Callable[[str], Path]) -> None:
    """Let go of trajectories, those of the job that ended longest ago first, until files and index fit; one job stays."""
    while _size(connection) > most_gb * GB:
        rows = connection.execute(
            "SELECT job FROM jobs WHERE let_go IS NULL AND bytes > 0 ORDER BY ended IS NULL, ended, job LIMIT 2"
        ).fetchall()
        if len(rows) < 2:
            return
        job = str(rows[0][0])
        _drop_files(connection, cache, "job = ?", (job,))
        connection.execute("UPDATE jobs SET bytes = 0, let_go = ? WHERE job = ?", (most_gb, job))
        shutil.rmtree(folder_of(job), ignore_errors=True)


def measured(connection: sqlite3.Connection, job: str, folder: Path) -> None:
    """Remember how much of the disk a job's files take."""
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    connection.execute("UPDATE jobs SET bytes = ? WHERE job = ?", (size, job))


def gone(connection: sqlite3.Connection, jobs: Collection[str] | None) -> Gone | None:
    """What was let go of the jobs that a reader may see (None: all); None where nothing was."""
    mine = "" if jobs is None else " AND job IN (SELECT value FROM json_each(?))"
    values = [] if jobs is None else [json.dumps(sorted(jobs))]
    statement = f"SELECT count(*), max(coalesce(ended, created)) FROM jobs WHERE let_go IS NOT NULL{mine}"
    number, until = connection.execute(statement, values).fetchone()
    return Gone(jobs=number, until=until) if number else None


def _size(connection: sqlite3.Connection) -> int:
    """Bytes of the fetched files, and of the index without pages that are free to be written again."""
    pages, free, size = (
        connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
    )
    files = connection.execute("SELECT coalesce(sum(bytes), 0) FROM jobs").fetchone()[0]
    return int(files) + (int(pages) - int(free)) * int(size)


def _drop_files(connection: sqlite3.Connection, cache: Path, of: str, values: tuple[str, ...]) -> None:
    for file, path in connection.execute(f"SELECT file, path FROM files WHERE {of}", values).fetchall():
        connection.execute("BEGIN IMMEDIATE")
        try:
            _forget_words(connection, cache / path, file)
            connection.execute("DELETE FROM trajectories WHERE file = ?", (file,))
            connection.execute("DELETE FROM questions WHERE file = ?", (file,))
            connection.execute("DELETE FROM files WHERE file = ?", (file,))
            connection.execute("COMMIT")
        except BaseException:
            connection.execute("ROLLBACK")
            raise


def _forget_words(connection: sqlite3.Connection, path: Path, file: int) -> None:
    """Out of the full-text table, which keeps no texts: it has to be told again what it was told of each row."""
    rows = connection.execute("SELECT * FROM trajectories WHERE file = ? ORDER BY offset", (file,)).fetchall()
    batch: list[tuple[int, str]] = []
    for number, body in _bodies(path, rows):
        batch.append((number, body))
        if len(batch) >= _BATCH:
            connection.executemany("INSERT INTO words (words, rowid, body) VALUES ('delete', ?, ?)", batch)
            batch = []
    connection.executemany("INSERT INTO words (words, rowid, body) VALUES ('delete', ?, ?)", batch)


def _bodies(path: Path, rows: list[Any]) -> Iterator[tuple[int, str]]:
    """Ids with the words as they were indexed; nothing where the file has gone: what is left of it joins with no row."""
    try:
        with path.open("rb") as lines:
            for row in rows:
                lines.seek(row["offset"])
                facts = _facts(lines.read(min(row["length"], LONGEST)), row)
                origin = Origin(row["job"], row["kind"], row["model"], row["suite"], row["arm"], row["step"])
                yield row["id"], body_of(facts, origin)
    except OSError:
        return


def _facts(line: bytes, row: Any) -> Facts:
    if row["termination"] == UNREADABLE:
        return replace(unreadable(line, 0), question=row["question"], model=row["model"])
    try:
        return facts_of(read(line), Origin(row["job"], row["kind"], row["model"]))
    except UnreadableError:
        return replace(unreadable(line, 0), question=row["question"], model=row["model"])
