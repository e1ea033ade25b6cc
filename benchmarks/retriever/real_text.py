"""The real passages and questions of the benchmark, from the two published files they come from.

Passages: HippoRAG's corpus of 2WikiMultiHopQA (text from Wikipedia, CC BY-SA), on GitHub OSU-NLP-Group/HippoRAG,
``reproduce/dataset/2wikimultihopqa_corpus.json``. Questions: 2WikiMultiHopQA's own (Apache-2.0), as a JSON list of
``{question, answer}``, on GitHub chenyiqun/Agentic-RAG,
``data/2wikimultihop_qa/2wikimultihop_test_questions_and_answers.json``. Of these, 600 that name a passage's title of two
words or more, drawn with a fixed seed.

``python -m benchmarks.retriever.real_text CORPUS QUESTIONS --output DIR`` writes ``passages.jsonl`` and
``questions.jsonl``, for ``MENTOR_BENCH_PASSAGES`` and ``MENTOR_BENCH_QUERIES``.
"""

from __future__ import annotations

import argparse
import json
import random
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

SEED = 0
QUESTIONS = 600


def passages(corpus: Iterable[dict[str, str]]) -> list[dict[str, str]]:
    """FlashRAG's shape: a title in quotes, a line break, the text."""
    return [{"id": str(n), "contents": f'"{row["title"]}"\n{row["text"]}'} for n, row in enumerate(corpus)]


def chosen(questions: list[dict[str, str]], titles: Iterable[str], count: int = QUESTIONS) -> list[dict[str, Any]]:
    """A seeded sample of the questions that name a title, in the order of the file."""
    known = {words for title in titles if len(words := _words(title)) > 1}
    longest = max(map(len, known), default=0)
    naming = [n for n, row in enumerate(questions) if _names(_words(row["question"]), known, longest)]
    drawn = sorted(random.Random(SEED).sample(naming, min(count, len(naming))))
    rows = ((n, questions[n]) for n in drawn)
    return [{"id": f"2wiki-{n}", "question": row["question"], "golden_answers": [row["answer"]]} for n, row in rows]


def _words(text: str) -> tuple[str, ...]:
    return tuple(re.findall(r"\w+", text.lower()))


def _names(words: tuple[str, ...], titles: set[tuple[str, ...]], longest: int) -> bool:
    spans = ((begin, begin + size) for begin in range(len(words)) for size in range(2, longest + 1))
    return any(words[begin:end] in titles for begin, end in spans if end <= len(words))


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpus", type=Path)
    parser.add_argument("questions", type=Path)
    parser.add_argument("--output", type=Path, default=Path("runs/real-text"))
    args = parser.parse_args()
    corpus = json.loads(args.corpus.read_text(encoding="utf-8"))
    rows = {
        "passages.jsonl": passages(corpus),
        "questions.jsonl": chosen(json.loads(args.questions.read_text(encoding="utf-8")), (r["title"] for r in corpus)),
    }
    args.output.mkdir(parents=True, exist_ok=True)
    for name, found in rows.items():
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in found)
        (args.output / name).write_text(lines, encoding="utf-8")
        print(f"{len(found)} rows in {args.output / name}")


if __name__ == "__main__":
    main()
