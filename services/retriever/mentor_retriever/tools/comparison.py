"""Every kind of index, made of the same vectors: size, recall, answer recall, speed."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from mentor_retriever.corpus import Corpus
from mentor_retriever.encoders.base import Vectors
from mentor_retriever.encoders.factory import open_encoder
from mentor_retriever.index.approximate import ApproximateIndex
from mentor_retriever.index.base import Ranking, VectorIndex
from mentor_retriever.index.faiss_file import assemble, flat_view, read_faiss
from mentor_retriever.index.flat import FlatIndex
from mentor_retriever.index.kinds import kind_named
from mentor_retriever.index.manifest import INDEX
from mentor_retriever.settings import RetrieverSettings
from mentor_retriever.tools.evaluation import answer_recall, recall
from mentor_retriever.tools.questions import read_questions

_CHUNK = 1024
_BATCH = 64


@dataclass(frozen=True)
class Row:
    """One kind's line of the table."""

    kind: str
    bytes_per_vector: float
    recall: float
    answers: float | None
    alone: float
    batched: float
    build_s: float


def compared(
    settings: RetrieverSettings, questions: Path, kinds: Sequence[str], k: int, exact: Path | None, limit: int | None
) -> str:
    """Markdown table. One thread, so speeds compare kinds, not machines.

    Raises:
        UserError: something cannot be opened, or a kind does not exist.
    """
    assert settings.corpus_path is not None
    asked = read_questions(questions, limit)
    chosen = [kind_named(name) for name in kinds]
    corpus = Corpus(settings.corpus_path)
    encoder = open_encoder(settings, threads=os.cpu_count() or 1)
    flat = _flat(exact, corpus, encoder)
    vectors = flat_view(flat)
    queries = np.concatenate(
        [encoder.encode_queries([q.text for q in asked[n : n + 64]]) for n in range(0, len(asked), 64)]
    )
    reference = FlatIndex(flat, 1).search(queries, k)
    rows = []
    for kind in chosen:
        began = time.perf_counter()
        index = flat if kind.exact else assemble(kind, vectors, seed=0, threads=1)
        took = time.perf_counter() - began
        searcher: VectorIndex = (
            FlatIndex(flat, 1)
            if kind.exact
            else ApproximateIndex(index, stored=flat if kind.refine else None, refine=kind.refine, parallel=1)
        )
        found = _searched(searcher, queries, k)
        size = len(faiss.serialize_index(index)) / len(corpus)
        answers = answer_recall(corpus, asked, found).get("answer_recall")
        speeds = _speed(searcher, queries[:_BATCH], k)
        rows.append(Row(kind.name, size, recall(reference, found), answers, *speeds, took))
    head = f"{len(corpus):,} passages, {vectors.shape[1]} dimensions, {len(asked)} questions, k = {k}"
    return f"{head}\n\n{_table(rows, k)}"


def _flat(exact: Path | None, corpus: Corpus, encoder: Any) -> Any:
    if exact is not None:
        return read_faiss(exact / INDEX if exact.is_dir() else exact, mapped=True)
    index = faiss.IndexFlatIP(encoder.dimension)
    for start in range(0, len(corpus), _CHUNK):
        index.add(encoder.encode_passages(list(corpus.contents(start, min(len(corpus), start + _CHUNK)))))
    return index


def _searched(index: VectorIndex, queries: Vectors, k: int) -> list[Ranking]:
    return [ranking for n in range(0, len(queries), _BATCH) for ranking in index.search(queries[n : n + _BATCH], k)]


def _speed(index: VectorIndex, queries: NDArray[np.float32], k: int) -> tuple[float, float]:
    """Queries a second, one at a time and all at once."""
    began = time.perf_counter()
    for query in queries:
        index.search(query[None], k)
    alone = len(queries) / (time.perf_counter() - began)
    began = time.perf_counter()
    index.search(queries, k)
    return alone, len(queries) / (time.perf_counter() - began)


def _table(rows: Sequence[Row], k: int) -> str:
    lines = [
        f"| kind | bytes per vector | recall@{k} | answer recall@{k} | queries/s alone | in batches of {_BATCH} | build, s |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        answers = "" if row.answers is None else f"{row.answers:.3f}"
        speeds = f"{row.alone:.0f} | {row.batched:.0f} | {row.build_s:.1f}"
        lines.append(f"| {row.kind} | {row.bytes_per_vector:.0f} | {row.recall:.3f} | {answers} | {speeds} |")
    return "\n".join(lines)
