"""The mapped corpus: offsets are found once, kept, and never believed of another file."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mentor.errors import UserError
from mentor_retriever.corpus import Corpus
from mentor_retriever.corpus import jsonl as jsonl_module

LINES = [
    '{"id": 1, "contents": "one", "url": "u", "tags": ["a"]}',
    "",
    '{"id": "2", "title": "T", "text": "two"}',
    "  ",
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "corpus.jsonl"
    made.write_text("\n".join(LINES))
    return made


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Numbers of the lines that were checked."""
    seen: list[int] = []
    check = Corpus._check

    def counted(self: Corpus, number: int, line: bytes) -> None:
        seen.append(number)
        check(self, number, line)

    monkeypatch.setattr(jsonl_module.Corpus, "_check", counted)
    return seen


def test_documents_keep_their_fields_and_blank_lines_do_not_count(path: Path) -> None:
    corpus = Corpus(path)
    assert len(corpus) == 2
    assert corpus[0] == {"id": "1", "contents": "one", "url": "u", "tags": ["a"]}
    assert corpus[1]["contents"] == "T\ntwo"
    assert list(corpus.contents(1, 2)) == ["T\ntwo"]


def test_offsets_are_found_once(path: Path, parsed: list[int]) -> None:
    first = Corpus(path)
    assert parsed == [1, 3]
    again = Corpus(path)
    assert parsed == [1, 3]
    assert (len(again), again[1], again.fingerprint) == (2, first[1], first.fingerprint)


def test_a_copied_corpus_is_recognised_by_its_bytes(path: Path, parsed: list[int]) -> None:
    Corpus(path)
    os.utime(path, ns=(1, 1))
    Corpus(path)
    assert parsed == [1, 3]


@pytest.mark.parametrize("same_size", [True, False])
def test_offsets_of_another_content_are_found_anew(path: Path, parsed: list[int], same_size: bool) -> None:
    Corpus(path)
    path.write_text(path.read_text().replace("one", "ONE" if same_size else "longer"))
    os.utime(path, ns=(5, 5))
    assert Corpus(path)[0]["contents"] == ("ONE" if same_size else "longer")
    assert parsed == [1, 3, 1, 3]


@pytest.mark.parametrize("damage", [b"", b"not numpy"])
def test_damaged_offsets_are_found_anew(path: Path, damage: bytes) -> None:
    Corpus(path)
    path.with_name("corpus.jsonl.offsets").write_bytes(damage)
    assert Corpus(path)[1]["id"] == "2"


def test_where_nothing_may_be_written_the_offsets_stay_in_memory(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = Path.open

    def refuse(self: Path, mode: str = "r", *arguments: Any, **options: Any) -> Any:
        if "w" in mode:
            raise PermissionError(13, "Permission denied")
        return opened(self, mode, *arguments, **options)

    monkeypatch.setattr(Path, "open", refuse)
    assert [document["id"] for document in (Corpus(path)[0], Corpus(path)[1])] == ["1", "2"]
    assert sorted(file.name for file in path.parent.iterdir()) == ["corpus.jsonl"]


def test_a_bad_line_leaves_no_offsets_behind(path: Path) -> None:
    path.write_text('{"id": 1, "contents": "a"}\n{"id": 2')
    with pytest.raises(UserError, match=r"corpus\.jsonl:2:"):
        Corpus(path)
    assert [file.name for file in path.parent.iterdir()] == ["corpus.jsonl"]


def test_offsets_are_a_plain_numpy_file(tmp_path: Path) -> None:
    path = tmp_path / "many.jsonl"
    lines = [json.dumps({"id": n, "contents": "x" * (n % 7)}) + "\n" for n in range(1000)]
    path.write_text("".join(lines))
    corpus = Corpus(path)
    starts = np.load(f"{path}.offsets")
    assert starts.tolist() == np.cumsum([0, *map(len, lines)]).tolist()
    assert corpus[999]["id"] == "999"
