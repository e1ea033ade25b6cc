"""Queries of the benchmark: real questions (``MENTOR_BENCH_QUERIES=FILE``) or the first words of passages."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

from benchmarks.retriever.corpus import ENCODED, Corpus, texts

QUERIES = "MENTOR_BENCH_QUERIES"
_WORDS = 14


@dataclass(frozen=True)
class Question:
    """A question and the answers that count as right (none for a made-up one)."""

    text: str
    answers: tuple[str, ...] = ()


def questions(corpus: Corpus) -> list[Question]:
    """Those of the file; without one, the first words of every passage that has the encoder's vector."""
    named = os.environ.get(QUERIES)
    if not named:
        made = (" ".join(text.partition("\n")[2].split()[:_WORDS]) for text in texts(corpus, ENCODED))
        return [Question(text) for text in made if text]
    with Path(named).open(encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    return [Question(row["question"], tuple(row.get("golden_answers") or row.get("answers") or ())) for row in rows]


def pool(work: Path, corpus: Corpus) -> Path:
    """The texts as a JSON list, for processes of their own."""
    path = work / f"{corpus.passages.stem}.queries.json"
    path.write_text(json.dumps([question.text for question in questions(corpus)]), encoding="utf-8")
    return path


def distinct(texts: list[str], number: int) -> str:
    """The query of that number: no two are the same, so that no cache plays a part."""
    return f"{texts[number % len(texts)]} {number}"
