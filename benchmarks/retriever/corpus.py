"""Seeded corpora of the shape of FlashRAG's (JSON lines ``{id, contents}``, 100 words) with a flat FAISS index each.

``MENTOR_BENCH_PASSAGES=FILE`` names real passages of that shape: they come first, and the rest of the corpus are
windows of their words. Without it all text is made from seeded words. The first thousand passages have the encoder's
vectors (all of them in a corpus of real ones only); the others are seeded points of the unit sphere: a flat scan costs
the same whatever the numbers are. Memory does not grow with the number of passages.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import faiss
import numpy as np
from numpy.typing import NDArray

from benchmarks.retriever import encoder

PASSAGES = "MENTOR_BENCH_PASSAGES"
SEED = 20181220
WORDS = 100
ENCODED = 1000
"""Passages with the encoder's vectors at the head of a corpus."""
_CHUNK = 10_000
_SYLLABLES = "ba ce di fo gu ha je ki lo mu na pe ri so tu va we xi yo zu an el in or us sta tri plo ski"


@dataclass(frozen=True)
class Corpus:
    """Files of ``size`` passages and their vectors; the first ``encoded`` vectors are the encoder's."""

    passages: Path
    index: Path
    size: int
    encoded: int
    source: str

    @property
    def index_bytes(self) -> int:
        """Of the index file."""
        return self.index.stat().st_size


def make(work: Path, size: int, *, real_only: bool = False, vectors: bool = True) -> Corpus:
    """The corpus of that size below ``work``, made if it is not there.

    Args:
        real_only: the real passages and nothing else; ``size`` bounds their number.
        vectors: False leaves the encoder out: all vectors are synthetic.

    Raises:
        SystemExit: ``real_only`` without real passages.
    """
    source = _source()
    if real_only and source is None:
        raise SystemExit(f"this part needs real passages: set {PASSAGES}=FILE")
    head = _real_passages(source) if source else list(islice(_made_up(), ENCODED))
    head = head[:size]
    size = len(head) if real_only else size
    encoded = (len(head) if real_only else min(ENCODED, len(head))) if vectors else 0
    name = f"{size}-{_digest(head)}-{encoded}"
    found = Corpus(
        work / f"{name}.jsonl", work / f"{name}.flat", size, encoded, source.name if source else "seeded words"
    )
    work.mkdir(parents=True, exist_ok=True)
    if not found.passages.exists():
        _write_passages(found, head)
    if not found.index.exists():
        _write_index(found, head[:encoded])
    return found


def texts(corpus: Corpus, count: int) -> list[str]:
    """Contents of the first passages."""
    with corpus.passages.open(encoding="utf-8") as lines:
        return [json.loads(line)["contents"] for line in islice(lines, count)]


def _source() -> Path | None:
    named = os.environ.get(PASSAGES)
    return Path(named) if named else None


def _real_passages(source: Path) -> list[str]:
    with source.open(encoding="utf-8") as lines:
        return [json.loads(line)["contents"] for line in lines]


def _write_passages(corpus: Corpus, head: list[str]) -> None:
    rest = _windows(head) if _source() else islice(_made_up(), len(head), None)
    fresh = corpus.passages.with_suffix(".part")
    with fresh.open("w", encoding="utf-8") as out:
        for row in range(corpus.size):
            contents = head[row] if row < len(head) else next(rest)
            out.write(json.dumps({"id": str(row), "contents": contents}) + "\n")
    fresh.replace(corpus.passages)


def _windows(passages: list[str]) -> Iterator[str]:
    words = " ".join(passage.replace("\n", " ") for passage in passages).split()
    random = np.random.default_rng(SEED)
    while True:
        for begin in random.integers(0, max(1, len(words) - WORDS), _CHUNK).tolist():
            window = words[begin : begin + WORDS]
            yield f'"{" ".join(window[:3])}"\n{" ".join(window)}'


def _made_up() -> Iterator[str]:
    random = np.random.default_rng(SEED)
    syllables = np.array(_SYLLABLES.split())
    words = ["".join(syllables[random.integers(0, len(syllables), 1 + length % 4)]) for length in range(20_000)]
    while True:
        for row in random.integers(0, len(words), (_CHUNK // 10, WORDS)).tolist():
            window = [words[word] for word in row]
            yield f'"{" ".join(window[:3])}"\n{" ".join(window)}'


def _write_index(corpus: Corpus, head: list[str]) -> None:
    """FAISS's own file of an ``IndexFlatIP``, written a chunk at a time (FAISS itself writes only what is in memory)."""
    empty = bytearray(faiss.serialize_index(faiss.IndexFlatIP(encoder.DIMENSION)).tobytes())
    # fourcc, dimension, then the number of vectors; the last field is the number of floats that follow.
    struct.pack_into("<q", empty, 8, corpus.size)
    struct.pack_into("<Q", empty, len(empty) - 8, corpus.size * encoder.DIMENSION)
    fresh = corpus.index.with_suffix(".part")
    with fresh.open("wb") as out:
        out.write(empty)
        if head:
            out.write(encoder.encode(head).tobytes())
        for begin in range(len(head), corpus.size, _CHUNK):
            out.write(_synthetic(begin, min(_CHUNK, corpus.size - begin)).tobytes())
    fresh.replace(corpus.index)


def _digest(texts: list[str]) -> str:
    return hashlib.sha256("".join(texts).encode()).hexdigest()[:12]


def _synthetic(seed: int, count: int) -> NDArray[np.float32]:
    vectors = np.random.default_rng((SEED, seed)).standard_normal((count, encoder.DIMENSION), dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors
