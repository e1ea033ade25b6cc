"""Tags and notes that people give to trajectories: the one thing in the cache that nothing can make again."""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Collection, Iterable, Iterator
from typing import Any

from mentor.errors import UserError

_TAG = re.compile(r"[\w][\w .:/-]{0,63}")
_LONGEST = 20_000
_MOST = 50


def add_tag(connection: sqlite3.Connection, key: str, job: str, tag: str, author: str) -> None:
    """Give a tag; one that is there stays as it is.

    Raises:
        UserError: it is no word, or there are too many.
    """
    tag = tag.strip()
    if not _TAG.fullmatch(tag):
        raise UserError(f"{tag[:80]!r} is no tag", field="tag", allowed="1 to 64 letters, digits, spaces and . : / _ -")
    if len(tags_of(connection, [key]).get(key, [])) >= _MOST:
        raise UserError(f"it has {_MOST} tags", field="tag", allowed="fewer")
    connection.execute("INSERT OR IGNORE INTO kept.tags VALUES (?, ?, ?, ?, ?)", (key, job, tag, author, time.time()))


def remove_tag(connection: sqlite3.Connection, key: str, tag: str) -> None:
    """Take a tag away."""
    connection.execute("DELETE FROM kept.tags WHERE key = ? AND tag = ?", (key, tag))


def add_note(connection: sqlite3.Connection, key: str, job: str, text: str, author: str) -> None:
    """Write a note.

    Raises:
        UserError: it is empty or too long.
    """
    text = text.replace("\r\n", "\n").strip()
    if not 0 < len(text) <= _LONGEST:
        raise UserError(f"a note of {len(text)} characters", field="text", allowed=f"1 to {_LONGEST}")
    connection.execute(
        "INSERT INTO kept.notes (key, job, text, author, time) VALUES (?, ?, ?, ?, ?)",
        (key, job, text, author, time.time()),
    )


def remove_note(connection: sqlite3.Connection, key: str, note: int) -> None:
    """Take a note away."""
    connection.execute("DELETE FROM kept.notes WHERE key = ? AND note = ?", (key, note))


def tags_of(connection: sqlite3.Connection, keys: Iterable[str]) -> dict[str, list[str]]:
    """Tags by trajectory."""
    found: dict[str, list[str]] = {}
    for key in keys:
        tags = connection.execute("SELECT tag FROM kept.tags WHERE key = ? ORDER BY tag", (key,))
        found[key] = [row[0] for row in tags]
    return found


def notes_of(connection: sqlite3.Connection, key: str) -> list[dict[str, Any]]:
    """Notes of a trajectory, the oldest first."""
    return [dict(row) for row in connection.execute("SELECT * FROM kept.notes WHERE key = ? ORDER BY note", (key,))]


def known_tags(connection: sqlite3.Connection, jobs: Collection[str] | None) -> list[tuple[str, int]]:
    """Tags in use and how often, the most used first."""
    counts: dict[str, int] = {}
    for tag, job in connection.execute("SELECT tag, job FROM kept.tags"):
        if jobs is None or job in jobs:
            counts[tag] = counts.get(tag, 0) + 1
    return sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:100]


def exported(connection: sqlite3.Connection, jobs: Collection[str] | None) -> Iterator[dict[str, Any]]:
    """Everything that people wrote, one record per trajectory, with what tells which it is."""
    keys = connection.execute(
        "SELECT key, job FROM kept.tags UNION SELECT key, job FROM kept.notes ORDER BY key"
    ).fetchall()
    for key, job in keys:
        if jobs is not None and job not in jobs:
            continue
        row = connection.execute(
            "SELECT job, kind, model, suite, arm, question, sample, step FROM trajectories WHERE key = ?", (key,)
        ).fetchone()
        tags = connection.execute("SELECT tag, author, time FROM kept.tags WHERE key = ? ORDER BY tag", (key,))
        notes = connection.execute("SELECT text, author, time FROM kept.notes WHERE key = ? ORDER BY note", (key,))
        yield {
            "trajectory": key, "job": job, **(dict(row) if row else {}),
            "tags": [dict(tag) for tag in tags], "notes": [dict(note) for note in notes],
        }  # fmt: skip
