"""Words in quotes stand one behind another: found by reading what has all of them, as far as a page's time goes."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from mentor_console.index import query
from mentor_console.index.facts import Origin
from mentor_console.index.ingest import Writing, ingest
from mentor_console.index.phrases import Looking, phrases_of, spell
from mentor_console.index.query import Filters, Page, facets_of, find
from mentor_console.index.schema import connect, prepare
from tests.support.committed import write_lines

WORDS = ("red", "green", "blue", "the", "of")


@pytest.fixture(scope="module")
def texts() -> list[str]:
    chosen = random.Random(5)
    made = [" ".join(chosen.choices(WORDS, k=6)) for _ in range(300)]
    return [*made, "the café of Zoë", "snake_case, of: the", "the <b>red</b> of"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, texts: list[str]) -> Path:
    made = tmp_path_factory.mktemp("phrases")
    lines = [{"question_id": str(n), "question": text, "turns": [{"text": "apart"}]} for n, text in enumerate(texts)]
    write_lines(made / "t.jsonl", [*lines, b"no JSON, red of blue"])
    prepare(made)
    connection = connect(made)
    connection.execute("INSERT INTO files VALUES (0, 'j', '', '', '', 't.jsonl', '')")
    with Writing(connection) as writing:
        ingest(writing, made / "t.jsonl", 0, Origin("j", "teacher"))
    connection.close()
    return made


@pytest.fixture
def index(folder: Path) -> Iterator[sqlite3.Connection]:
    opened = connect(folder)
    yield opened
    opened.close()


def all_pages(index: sqlite3.Connection, folder: Path, filters: Filters, limit: int = 20) -> list[Page]:
    pages = [find(index, filters, folder=folder, limit=limit)]
    while pages[-1].older is not None:
        pages.append(find(index, filters, folder=folder, limit=limit, before=pages[-1].older))
    return pages


@pytest.mark.parametrize(
    "phrase", ["red of", "of the green", "the the the the", "blue red green of", "red red of of blue"]
)
def test_what_is_found_is_what_reading_every_text_finds(
    index: sqlite3.Connection, folder: Path, texts: list[str], phrase: str
) -> None:
    expected = {str(n) for n, text in enumerate(texts) if f" {phrase} " in spell(text)}
    rows = [row for page in all_pages(index, folder, Filters(text=f'"{phrase}"')) for row in page.rows]
    found = [row["question"] for row in rows if row["termination"] != "unreadable"]
    assert set(found) == expected and len(found) == len(expected)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ('"cafe of zoe"', 1), ('"Café OF Zoë"', 1), ('"snake case"', 1), ('"<b>red</b> of"', 1), ('"no json red of"', 1),
        ('"of the apart"', 0), ('"the red" absent', 0), ('"cafe of" "of zoe"', 1), ('"cafe zoe"', 0),
        ("\u201ccafe of\u201d zoe", 1), ('"cafe', 1), ('"cafe"', 1),
    ],
)  # fmt: skip
def test_quotes(index: sqlite3.Connection, folder: Path, text: str, number: int) -> None:
    page = find(index, Filters(text=text), folder=folder)
    assert len(page.rows) == number and facets_of(page).counted == number


def test_phrases_are_read_from_quotes_alone() -> None:
    assert phrases_of('one "two three" four "five" "two  THREE!"') == ("two three",)


def test_a_page_that_takes_too_long_says_how_far_it_came_and_the_next_goes_on(
    index: sqlite3.Connection, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = [row["id"] for row in find(index, Filters(text='"red of"'), folder=folder, limit=1000).rows]
    times = iter(range(10**6))
    monkeypatch.setattr("mentor_console.index.phrases.time.monotonic", lambda: float(next(times)))
    monkeypatch.setattr(query, "Looking", lambda folder, phrases: Looking(folder, phrases, seconds=10.0))
    pages = all_pages(index, folder, Filters(text='"red of"'))
    assert len(pages) > 3 and all(page.looked == 10 for page in pages[:-1])
    assert [row["id"] for page in pages for row in page.rows] == whole


def test_only_the_readers_jobs_are_read(index: sqlite3.Connection, folder: Path) -> None:
    assert find(index, Filters(text='"red of"'), frozenset({"other"}), folder=folder).rows == ()
