"""The index on disk: an SQLite file with a narrow table of facts and a full-text table of words and facets.

The text itself stays in the fetched files, found by offset and length; the full-text table holds no copy of it either
(``content=''``). Rows are never changed: one that is replaced gets a new id, and what the full-text table still says of
the old one is found no more, because nothing joins with it. ``jobs.let_go``: how many GB the cache was allowed when the job's
trajectories had to leave it.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

VERSION = 2
NAME = "index.sqlite"
NOTES = "notes.sqlite"
_PAGES_KIB = 16_384
_WAL_PAGES = 16_384
_HASH_BYTES = 32 * 1024 * 1024
"""Of new words in memory before the full-text table writes a segment: fewer segments, fewer merges."""

_TABLES = """
CREATE TABLE jobs (
  job TEXT PRIMARY KEY, service TEXT NOT NULL, kind TEXT NOT NULL, created REAL NOT NULL, ended REAL, spec TEXT NOT NULL,
  bytes INTEGER NOT NULL DEFAULT 0, let_go REAL);
CREATE TABLE files (
  file INTEGER PRIMARY KEY, job TEXT NOT NULL, artifact TEXT NOT NULL, sha256 TEXT NOT NULL, member TEXT NOT NULL,
  path TEXT NOT NULL, content TEXT NOT NULL);
CREATE INDEX files_of ON files (job, artifact, sha256);
CREATE TABLE done (job TEXT NOT NULL, artifact TEXT NOT NULL, sha256 TEXT NOT NULL, problem TEXT, PRIMARY KEY (job, artifact));
CREATE TABLE trajectories (
  id INTEGER PRIMARY KEY AUTOINCREMENT, step INTEGER, reward REAL, correct INTEGER, calls INTEGER NOT NULL,
  turns INTEGER NOT NULL, tokens INTEGER NOT NULL, seconds REAL NOT NULL, sample INTEGER NOT NULL,
  file INTEGER NOT NULL, offset INTEGER NOT NULL, length INTEGER NOT NULL, key TEXT NOT NULL,
  job TEXT NOT NULL, kind TEXT NOT NULL, model TEXT NOT NULL, suite TEXT NOT NULL, arm TEXT NOT NULL,
  question TEXT NOT NULL, termination TEXT NOT NULL, tools TEXT NOT NULL, errors TEXT NOT NULL, title TEXT NOT NULL);
CREATE UNIQUE INDEX trajectories_key ON trajectories (key);
CREATE INDEX trajectories_question ON trajectories (question, id);
CREATE INDEX trajectories_file ON trajectories (file);
CREATE INDEX trajectories_job ON trajectories (job, id);
CREATE TABLE questions (
  question TEXT NOT NULL, file INTEGER NOT NULL, job TEXT NOT NULL, offset INTEGER NOT NULL, length INTEGER NOT NULL,
  PRIMARY KEY (question, file)) WITHOUT ROWID;
CREATE VIRTUAL TABLE words USING fts5 (body, content='', detail=none, tokenize="unicode61 remove_diacritics 2");
"""
_NOTES = """
CREATE TABLE IF NOT EXISTS tags (key TEXT NOT NULL, job TEXT NOT NULL, tag TEXT NOT NULL, author TEXT NOT NULL,
  time REAL NOT NULL, PRIMARY KEY (key, tag)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS tags_by_name ON tags (tag, key);
CREATE TABLE IF NOT EXISTS notes (note INTEGER PRIMARY KEY, key TEXT NOT NULL, job TEXT NOT NULL, text TEXT NOT NULL,
  author TEXT NOT NULL, time REAL NOT NULL);
CREATE INDEX IF NOT EXISTS notes_of ON notes (key);
"""


def prepare(folder: Path) -> None:
    """Make what is not there yet. An index of another version is dropped: it is gathered again; notes stay."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    index = folder / NAME
    if index.exists() and not _present(index):
        for left in folder.glob(f"{NAME}*"):
            left.unlink()
    notes = sqlite3.connect(folder / NOTES)
    notes.execute("PRAGMA journal_mode=WAL")
    notes.executescript(_NOTES)
    notes.close()
    if not index.exists():
        made = sqlite3.connect(index)
        made.execute("PRAGMA journal_mode=WAL")
        made.executescript(f"BEGIN; {_TABLES} PRAGMA user_version={VERSION}; COMMIT;")
        made.execute("INSERT INTO words (words, rank) VALUES ('hashsize', ?)", (_HASH_BYTES,))
        made.commit()
        made.close()


def _present(index: Path) -> bool:
    """Whether it is of our version, and whole."""
    try:
        found = sqlite3.connect(index)
        version = found.execute("PRAGMA user_version").fetchone()[0]
        found.close()
    except sqlite3.DatabaseError:
        return False
    return bool(version == VERSION)


def connect(folder: Path, writes: bool = False) -> sqlite3.Connection:
    """A connection to index and notes (as ``kept``). Readers see the last commit and wait for nobody."""
    connection = sqlite3.connect(folder / NAME, timeout=30.0, isolation_level=None)
    connection.row_factory = sqlite3.Row
    connection.execute(f"PRAGMA cache_size=-{_PAGES_KIB}")
    connection.execute("PRAGMA synchronous=NORMAL")
    if writes:  # pages that many batches change are copied into the database once for all of them
        connection.execute(f"PRAGMA wal_autocheckpoint={_WAL_PAGES}")
    connection.execute("ATTACH ? AS kept", (str(folder / NOTES),))
    return connection
