"""The index against reading every line: 2,000 made trajectories (`make bench-console`: a hundred times as many, and times)."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.console.made import write_jobs
from mentor.errors import UserError
from mentor_console.index.facts import Origin
from mentor_console.index.ingest import Writing, ingest
from mentor_console.index.lines import LONGEST, UnreadableError, read
from mentor_console.index.query import COUNTED, Filters, facets, find
from mentor_console.index.schema import connect, prepare
from mentor_console.text import pretty, visible
from mentor_console.trajectory.beside import compare
from mentor_console.trajectory.timeline import timeline
from tests.support.told import told

Line = dict[str, Any]


class Indexed:
    """An index, and beside it every line with where it comes from."""

    def __init__(self, folder: Path) -> None:
        prepare(folder / "cache")
        self.connection: sqlite3.Connection = connect(folder / "cache")
        self.lines: list[tuple[Line, Origin]] = []
        number = 0
        for kind, _, path, _ in write_jobs(folder / "made", 2000, seed=3):
            for file in [path] if path.is_file() else sorted(path.rglob("*.jsonl")):
                number += 1
                origin = self._origin(path.name, kind, file)
                with Writing(self.connection) as writing:
                    ingest(writing, file, number, origin)
                self.lines += [(json.loads(line), origin) for line in file.read_text().splitlines()]

    @staticmethod
    def _origin(job: str, kind: str, file: Path) -> Origin:
        if kind == "evaluation":
            return Origin(job, kind, model=file.parts[-4], suite=file.parts[-3], arm="tools")
        step = int(file.stem.removeprefix("step_")) if kind == "train" else None
        return Origin(job, kind, step=step)

    def expected(self, fits: Callable[[Line, Line, Origin], bool]) -> int:
        return sum(fits(line.get("trajectory", line), line.get("reward", {}), origin) for line, origin in self.lines)

    def found(self, filters: Filters) -> int:
        return len(find(self.connection, filters, limit=5000).rows)


@pytest.fixture(scope="module")
def indexed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Indexed]:
    made = Indexed(tmp_path_factory.mktemp("index"))
    yield made
    made.connection.close()


def texts(trajectory: Line) -> str:
    turns = trajectory["turns"]
    parts = [trajectory["question"], trajectory["answer"], *(turn["text"] for turn in turns)]
    parts += [turn.get("reasoning", "") for turn in turns]
    for turn in turns:
        parts += [call["name"] + " " + json.dumps(call["arguments"]) for call in turn.get("tool_calls", ())]
        parts += [seen["content"] for seen in turn.get("observations", ())]
    return " ".join(parts)


def words(trajectory: Line) -> set[str]:
    return set(re.findall(r"[a-z0-9]+", texts(trajectory).lower()))


def tools(trajectory: Line) -> set[str]:
    return {seen["name"] for turn in trajectory["turns"] for seen in turn.get("observations", ())}


def errors(trajectory: Line) -> set[str | None]:
    return {seen.get("error_type") for turn in trajectory["turns"] for seen in turn.get("observations", ())}


CHECKS: dict[str, tuple[dict[str, Any], Callable[[Line, Line, Origin], bool]]] = {
    "all": ({}, lambda t, r, o: True),
    "kind": ({"kind": "train"}, lambda t, r, o: o.kind == "train"),
    "model": ({"model": "base"}, lambda t, r, o: t["model"] == "base"),
    "suite": ({"suite": "gsm8k"}, lambda t, r, o: o.suite == "gsm8k"),
    "question": ({"question": "q5"}, lambda t, r, o: t["question_id"] == "q5"),
    "tool": ({"tool": "gcd"}, lambda t, r, o: "gcd" in tools(t)),
    "error": ({"error": "timeout"}, lambda t, r, o: "timeout" in errors(t)),
    "end": ({"termination": "length"}, lambda t, r, o: t["termination"] == "length"),
    "wrong": ({"correct": "wrong"}, lambda t, r, o: not t["metadata"]["correct"]),
    "reward": ({"reward_from": 0.3, "reward_to": 0.9}, lambda t, r, o: bool(r) and 0.3 <= r["total"] <= 0.9),
    "steps": ({"step_from": 1}, lambda t, r, o: o.step is not None),
    "tool and error": ({"tool": "add", "error": "memory"}, lambda t, r, o: "add" in tools(t) and "memory" in errors(t)),
    "right, trained, long": (
        {"correct": "right", "kind": "train", "termination": "length"},
        lambda t, r, o: t["metadata"]["correct"] and o.kind == "train" and t["termination"] == "length",
    ),
}


@pytest.mark.parametrize("name", CHECKS)
def test_a_filter_finds_what_reading_every_line_finds(indexed: Indexed, name: str) -> None:
    given, fits = CHECKS[name]
    assert indexed.found(Filters(**given)) == indexed.expected(fits) > 0


def test_words_find_what_reading_every_line_finds(indexed: Indexed) -> None:
    one, two = sorted(words(indexed.lines[0][0]), key=len)[-2:]
    assert indexed.found(Filters(text=one)) == indexed.expected(lambda t, r, o: one in words(t)) > 0
    both = Filters(text=f"{one.upper()} {two}")
    assert indexed.found(both) == indexed.expected(lambda t, r, o: {one, two} <= words(t)) > 0
    beginning = indexed.expected(lambda t, r, o: any(word.startswith(one[:3]) for word in words(t)))
    assert indexed.found(Filters(text=f"{one[:3]}*")) == beginning > 0


def test_no_text_passes_for_a_facet(indexed: Indexed) -> None:
    from mentor_console.index.facts import facet

    assert indexed.found(Filters(text=facet("kind", "train"))) == 0


def test_facets_count_what_is_found_and_say_when_that_is_not_all(indexed: Indexed) -> None:
    found = facets(indexed.connection, Filters(kind="evaluation"))
    assert found.all and found.counted == indexed.expected(lambda t, r, o: o.kind == "evaluation")
    suites = dict(found.values["suite"])
    assert suites["aime24"] == indexed.expected(lambda t, r, o: o.suite == "aime24")
    assert facets(indexed.connection, Filters()).counted == min(COUNTED, len(indexed.lines))


def test_only_the_jobs_of_a_reader_are_found(indexed: Indexed) -> None:
    jobs = {origin.job for _, origin in indexed.lines}
    one = sorted(jobs)[0]
    mine = find(indexed.connection, Filters(), {one}, limit=5000).rows
    assert {row["job"] for row in mine} == {one} and len(mine) < len(indexed.lines)
    assert find(indexed.connection, Filters(), set()).rows == ()


def test_the_last_word_on_a_sample_counts_and_an_index_that_is_fed_twice_says_the_same(tmp_path: Path) -> None:
    prepare(tmp_path / "cache")
    connection = connect(tmp_path / "cache")
    path = tmp_path / "x.jsonl"
    first, last = ({"question_id": "q", "question": word, "turns": []} for word in ("before", "after"))
    path.write_text(f"{json.dumps(first)}\n{json.dumps(last)}\n")
    for _ in range(2):
        with Writing(connection) as writing:
            ingest(writing, path, 1, Origin("j", "teacher"))
        (row,) = find(connection, Filters()).rows
        assert row["title"] == "after" and find(connection, Filters(text="before")).rows == ()
        assert len(find(connection, Filters(text="after")).rows) == 1
    connection.close()


def test_a_line_that_no_quick_parser_takes_is_read_whole_and_one_that_nobody_can_is_refused() -> None:
    assert read(b'{"a": "x\\ud800y", "b": "\xff"}') == {"a": "x\ufffdy", "b": "\ufffd"}
    for line in (b"no", b"[1]", b'{"a": ' + b"[" * 100_000):
        with pytest.raises(UnreadableError):
            read(line)


def test_a_line_that_is_too_long_is_found_and_those_after_it_are_read(tmp_path: Path) -> None:
    prepare(tmp_path / "cache")
    connection = connect(tmp_path / "cache")
    path = tmp_path / "x.jsonl"
    long = json.dumps({"question_id": "long", "question": "x" * 2 * LONGEST})
    path.write_text(f"{long}\n" + json.dumps({"question_id": "after", "question": "short", "turns": []}) + "\n")
    with Writing(connection) as writing:
        assert ingest(writing, path, 1, Origin("j", "teacher")) == 2
    after, before = find(connection, Filters()).rows
    assert (before["termination"], before["length"]) == ("unreadable", len(long) + 1)
    assert after["question"] == "after" and path.read_bytes()[after["offset"] :].startswith(b'{"question_id": "after"')
    connection.close()


def test_a_beginning_of_one_letter_is_refused() -> None:
    with pytest.raises(UserError, match="begins too many"):
        find(sqlite3.connect(":memory:"), Filters(text="a*"))


def test_what_cannot_be_seen_gets_a_name() -> None:
    assert visible("a\x1b[31m\u202eb\ud800\t\n") == "a␛[31m⟨U+202E⟩b⟨U+D800⟩\t\n"
    assert visible("naïve 数学 👍") == "naïve 数学 👍"
    deep: Any = []
    for _ in range(500):
        deep = [deep]
    assert len(pretty(deep)) < 2000 and "\n" in pretty({"a": 1})


def test_calls_are_the_same_by_value_and_differences_are_marked() -> None:
    left, right = compare(told("a", 4), told("b", 4))
    assert set(left.values()) == set(right.values()) == {"same"}
    left, right = compare(told("a", 4), told("b", 5))
    assert left == right == {(1, 1): "same", (2, 1): "changed"}
    shorter = told("b", 4).model_copy(update={"turns": told("b", 4).turns[1:]})
    assert compare(told("a", 4), shorter) == ({(1, 1): "only", (2, 1): "same"}, {(1, 1): "same"})


def test_a_timeline_puts_turns_one_after_another_and_says_what_was_not_measured() -> None:
    found = timeline(told("a", 4))
    assert found is not None and [span.kind for span in found.spans] == ["turn", "call", "turn", "call", "turn"]
    assert found.unknown == pytest.approx(2.0 - 1.25 - 0.04)
    assert [span.start for span in found.spans] == sorted(span.start for span in found.spans)
    assert timeline(told("a", 4).model_copy(update={"turns": (), "duration_s": 0.0})) is None
