"""What leaves the index leaves it whole: rows, questions, words; and a full cache lets go of what ended longest ago."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from mentor_console.index.facts import Origin
from mentor_console.index.ingest import Writing, ingest, ingest_questions
from mentor_console.index.leaving import drop, gone, keep_within, measured
from mentor_console.index.query import Filters, find
from mentor_console.index.schema import connect, prepare
from tests.hostile_text.cases import broken_lines, cases
from tests.support.committed import write_lines

ORIGIN = Origin("", "evaluation", model="m", suite="s", arm="tools", step=3)


class Cache:
    """Jobs with a file each; job number n ended n-th."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        prepare(folder)
        self.connection: sqlite3.Connection = connect(folder, writes=True)

    def place(self, job: str) -> Path:
        return self.folder / "files" / job

    def add(self, number: int, lines: list[dict[str, object] | bytes], ended: float | None) -> str:
        job = f"job-{number}"
        path = write_lines(self.place(job) / "t.jsonl", lines)
        self.connection.execute(
            "INSERT INTO jobs (job, service, kind, created, ended, spec) VALUES (?, 'evaluator', 'evaluation', 0, ?, '{}')",
            (job, ended),
        )
        self.connection.execute(
            "INSERT INTO files VALUES (?, ?, 'run', '', '', ?, '')", (number, job, str(path.relative_to(self.folder)))
        )
        self.connection.execute("INSERT INTO done VALUES (?, 'run', '', NULL)", (job,))
        with Writing(self.connection) as writing:
            ingest(writing, path, number, Origin(job, *list(vars(ORIGIN).values())[1:]))
            ingest_questions(writing, write_lines(self.place(job) / "q.jsonl", [{"id": "q"}]), number, job)
        measured(self.connection, job, self.place(job))
        return job

    def count(self, table: str) -> int:
        return int(self.connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])

    def words(self) -> set[str]:
        """Everything that the full-text table still finds anything by."""
        self.connection.execute("CREATE VIRTUAL TABLE IF NOT EXISTS temp.seen USING fts5vocab(main, words, 'row')")
        return {row[0] for row in self.connection.execute("SELECT term FROM temp.seen")}


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[Cache]:
    made = Cache(tmp_path)
    yield made
    made.connection.close()


def of(number: int, lines: int = 40) -> list[dict[str, object] | bytes]:
    turns = [{"text": f"word{number} common", "tool_calls": [{"name": "add", "arguments": {"a": number}}]}]
    return [{"question_id": f"q{n}", "sample": n, "question": f"What {n}?", "turns": turns} for n in range(lines)]


def test_a_job_that_is_dropped_leaves_no_word_behind(cache: Cache) -> None:
    hostile = [case.line for case in cases()] + list(broken_lines().values())
    cache.add(1, of(1), 1.0)
    before = cache.words()
    job = cache.add(2, [*of(2), *hostile], 2.0)
    assert len(cache.words()) > len(before)
    drop(cache.connection, cache.folder, job, None)
    assert cache.words() == before
    assert cache.count("files") == cache.count("jobs") == cache.count("questions") == cache.count("done") == 1
    assert len(find(cache.connection, Filters(text="word1"), limit=99).rows) == 40
    assert find(cache.connection, Filters(text="word2")).rows == ()


def test_a_file_that_has_gone_does_not_keep_its_rows(cache: Cache) -> None:
    job = cache.add(1, of(1), 1.0)
    (cache.place(job) / "t.jsonl").unlink()
    drop(cache.connection, cache.folder, job, "run")
    assert cache.count("trajectories") == 0 and cache.count("jobs") == 1


def test_a_full_cache_lets_go_of_what_ended_longest_ago_and_keeps_the_last(cache: Cache) -> None:
    jobs = [cache.add(number, of(number, 400), ended) for number, ended in ((1, 3.0), (2, 1.0), (3, None), (4, 2.0))]
    whole = cache.connection.execute("SELECT sum(bytes) FROM jobs").fetchone()[0]
    keep_within(cache.connection, cache.folder, 1.0, cache.place)
    assert gone(cache.connection, None) is None and cache.count("trajectories") == 1600
    index = cache.folder.joinpath("index.sqlite").stat().st_size
    keep_within(cache.connection, cache.folder, (whole + index) * 0.7 / 1e9, cache.place)
    left = {row[0] for row in cache.connection.execute("SELECT job FROM jobs WHERE let_go IS NULL")}
    assert jobs[1] not in left and jobs[2] in left and not cache.place(jobs[1]).exists()
    keep_within(cache.connection, cache.folder, 1e-9, cache.place)
    left = {row[0] for row in cache.connection.execute("SELECT job FROM jobs WHERE let_go IS NULL")}
    assert left == {jobs[2]} and cache.count("trajectories") == 400 and "word1" not in cache.words()
    told = gone(cache.connection, None)
    assert told is not None and (told.jobs, told.until) == (3, 3.0)


def test_what_was_let_go_is_told_to_those_alone_whose_it_is(cache: Cache) -> None:
    for number in (1, 2, 3):
        cache.add(number, of(number), float(number))
    keep_within(cache.connection, cache.folder, 1e-9, cache.place)
    told = gone(cache.connection, frozenset({"job-1", "job-3"}))
    assert told is not None and (told.jobs, told.until) == (1, 1.0)
    assert gone(cache.connection, frozenset({"job-3", "other"})) is None


def test_room_that_was_let_go_is_written_again(cache: Cache) -> None:
    sizes = []
    for number in range(1, 9):
        cache.add(number, of(number, 300), float(number))
        keep_within(cache.connection, cache.folder, 1e-9, cache.place)
        cache.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        sizes.append((cache.folder / "index.sqlite").stat().st_size)
    assert sizes[-1] < 2.5 * sizes[1]
