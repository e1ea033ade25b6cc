"""One corpus, one index, one encoder, shared by all callers: encode, search, re-rank, fetch, each in micro-batches."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mentor_retriever.backends.base import Found, Hit
from mentor_retriever.corpus import Corpus
from mentor_retriever.encoders import Encoder
from mentor_retriever.index.base import Ranking
from mentor_retriever.index.factory import Opened, open_index
from mentor_retriever.index.fusion import fuse
from mentor_retriever.pipeline.batcher import BatchRecord, MicroBatcher
from mentor_retriever.settings import RetrieverSettings

_FUSED = 100
"""Passages of each ranking that a fusion looks at, at least."""
Vector = NDArray[np.float32]
Pairs = tuple[str, list[str]]


class LocalBackend:
    """See ``Backend``."""

    def __init__(
        self,
        settings: RetrieverSettings,
        corpus: Corpus,
        encoder: Encoder | None,
        index: Opened,
        reranker: Any,
        seen: Callable[[BatchRecord], None],
    ) -> None:
        self._settings, self._corpus, self._encoder = settings, corpus, encoder
        self._index, self._reranker = index, reranker
        side_by_side = index.vectors.parallel if index.vectors else 1
        workers = settings.workers
        self._threads = ThreadPoolExecutor(4 * workers + side_by_side, thread_name_prefix="retrieve")

        def stage(
            name: str, run: Any, count: int, batch: int, more: Callable[[], bool] | None = None
        ) -> MicroBatcher[Any, Any]:
            return MicroBatcher(name, run, self._threads, workers=count, max_batch=batch, seen=seen, more_to_come=more)

        self._encode = stage("encode", self._encoded, workers, settings.encode_batch_size)
        # An exhaustive scan reads all vectors once for its whole batch, on the cores that encode: better wait for all.
        scan = side_by_side == 1 and settings.device == "cpu"
        more = (lambda: self._encode.busy) if scan else None
        self._search = stage("search", self._near, side_by_side, settings.search_batch_size, more)
        self._words = stage("words", self._matching, workers, settings.search_batch_size)
        self._rerank = stage("rerank", self._scored, workers, settings.encode_batch_size)
        self._fetch = stage("fetch", self._read, workers, settings.search_batch_size)

    @property
    def documents(self) -> int:
        """See ``Backend.documents``."""
        return len(self._corpus)

    @property
    def waiting(self) -> int:
        """See ``Backend.waiting``."""
        return sum(stage.waiting for stage in (self._encode, self._search, self._words, self._rerank))

    async def rank(self, query: str, top_n: int) -> Found:
        """See ``Backend.rank``."""
        wanted = top_n if self._reranker is None else max(top_n, self._settings.rerank_candidates)
        ranking = await self._ranked(query, min(wanted, len(self._corpus)))
        if self._reranker is not None:
            ranking = await self._reordered(query, ranking)
        return Found(ranking[:top_n])

    async def fetch(self, found: Found) -> list[Hit]:
        """See ``Backend.fetch``."""
        hits: list[Hit] = await self._fetch.submit(found.ranking)
        return hits

    async def warm_up(self, queries: Sequence[str]) -> None:
        """See ``Backend.warm_up``."""
        await self.fetch(await self.rank(queries[0], self._settings.default_top_n))
        await asyncio.gather(*(self.rank(query, self._settings.default_top_n) for query in queries))

    async def close(self) -> None:
        """See ``Backend.close``."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _ranked(self, query: str, top_n: int) -> Ranking:
        if self._index.vectors is None:
            matching: Ranking = await self._words.submit((query, top_n))
            return matching
        if self._index.words is None:
            return await self._nearest(query, top_n)
        depth = min(max(top_n, _FUSED), len(self._corpus))
        return fuse(await asyncio.gather(self._nearest(query, depth), self._words.submit((query, depth))), top_n)

    async def _nearest(self, query: str, top_n: int) -> Ranking:
        vector = await self._encode.submit(query)
        ranking: Ranking = await self._search.submit((vector, top_n))
        return ranking

    async def _reordered(self, query: str, ranking: Ranking) -> Ranking:
        hits = await self.fetch(Found(ranking))
        scores = await self._rerank.submit((query, [hit.document["contents"] for hit in hits]))
        rows = (row for row, _ in ranking)
        return sorted(zip(rows, scores, strict=True), key=lambda pair: -pair[1])

    # What follows runs in threads.

    def _encoded(self, queries: Sequence[str]) -> list[Vector]:
        assert self._encoder is not None
        return list(self._encoder.encode_queries(queries))

    def _near(self, asked: Sequence[tuple[Vector, int]]) -> list[Ranking]:
        assert self._index.vectors is not None
        vectors = np.stack([vector for vector, _ in asked])
        found = self._index.vectors.search(vectors, max(top_n for _, top_n in asked))
        return [ranking[:top_n] for ranking, (_, top_n) in zip(found, asked, strict=True)]

    def _matching(self, asked: Sequence[tuple[str, int]]) -> list[Ranking]:
        assert self._index.words is not None
        found = self._index.words.search([query for query, _ in asked], max(top_n for _, top_n in asked))
        return [ranking[:top_n] for ranking, (_, top_n) in zip(found, asked, strict=True)]

    def _scored(self, asked: Sequence[Pairs]) -> list[list[float]]:
        scores = iter(self._reranker.scores([(query, passage) for query, passages in asked for passage in passages]))
        return [[next(scores) for _ in passages] for _, passages in asked]

    def _read(self, rankings: Sequence[Ranking]) -> list[list[Hit]]:
        return [[Hit(self._corpus[row], score) for row, score in ranking] for ranking in rankings]


def open_local(settings: RetrieverSettings, seen: Callable[[BatchRecord], None]) -> LocalBackend:
    """Open corpus, encoder, index and cross-encoder; blocks.

    Raises:
        UserError: one of them cannot be used.
    """
    assert settings.corpus_path is not None
    corpus = Corpus(settings.corpus_path)
    encoder = reranker = None
    if settings.dense:
        from mentor_retriever.encoders.factory import open_encoder

        encoder = open_encoder(settings)
    if settings.rerank_model_path is not None:
        from mentor_retriever.encoders.rerank import CrossEncoder

        reranker = CrossEncoder(
            settings.rerank_model_path,
            device=settings.device,
            max_length=settings.rerank_max_length,
            batch=settings.encode_batch_size,
        )
    return LocalBackend(settings, corpus, encoder, open_index(settings, corpus, encoder), reranker, seen)
