"""The retriever itself, behind both transports: validation, admission, search off the event loop, documents."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import structlog
from prometheus_client import CollectorRegistry

from mentor.errors import InfrastructureError, OverloadedError, UserError
from mentor.serving.admission import Admission
from mentor_retriever.corpus import Corpus, Document
from mentor_retriever.index import Index, Ranking, open_index
from mentor_retriever.metrics import RetrieverMetrics
from mentor_retriever.settings import RetrieverSettings

log = structlog.get_logger("retriever")
EMPTY_QUERY = "Query content cannot be empty"
"""The published server's words; clients compare them."""


@dataclass(frozen=True)
class Hit:
    """A document and its score; higher is better."""

    document: Document
    score: float


class Retriever:
    """Searches one corpus."""

    def __init__(self, settings: RetrieverSettings, registry: CollectorRegistry) -> None:
        self.settings = settings
        self._admission = Admission(settings.workers, settings.max_queue, settings.queue_timeout_s)
        self._metrics = RetrieverMetrics(registry, self._admission)
        self._threads = ThreadPoolExecutor(settings.workers, thread_name_prefix="search")
        self._loaded: tuple[Corpus, Index] | None = None

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """Load corpus and index in a thread, so that health and readiness answer meanwhile."""
        try:
            loop = asyncio.get_running_loop()
            self._loaded = await loop.run_in_executor(self._threads, self._load)
            self._metrics.documents.set(len(self._loaded[0]))
            yield
        finally:
            self._threads.shutdown(wait=True, cancel_futures=True)

    async def search(self, queries: Sequence[str], top_n: int | None, endpoint: str) -> list[list[Hit]]:
        """The best documents for each query.

        Args:
            endpoint: for the metrics: ``search``, ``batch_search`` or ``retrieve``.

        Raises:
            UserError: a blank or over-long query, no queries, too many of them, ``top_n`` out of range.
            OverloadedError, DeadlineError: the queue is full, or the caller's deadline passed in it.
            InfrastructureError: still loading.
        """
        count = self._checked(queries, top_n)
        if self._loaded is None:
            raise InfrastructureError("the index is being loaded")
        try:
            async with self._admission.slot():
                loop = asyncio.get_running_loop()
                answers = await loop.run_in_executor(self._threads, self._find, list(queries), count)
        except OverloadedError:
            self._metrics.refused.inc()
            raise
        self._metrics.queries.labels(endpoint).inc(len(queries))
        return answers

    def ready(self) -> str | None:
        """Why queries cannot be taken now."""
        return None if self._loaded else "the index is being loaded"

    def health(self) -> dict[str, Any]:
        """The published fields, and what is being searched."""
        available = int(self._loaded is not None)
        return {
            "status": "healthy" if available else "loading",
            "retrievers": {"total": 1, "available": available},
            "retrieval_method": self.settings.retrieval_method,
            "documents": len(self._loaded[0]) if self._loaded else 0,
        }

    def _load(self) -> tuple[Corpus, Index]:
        corpus = Corpus(self.settings.corpus_path)
        index = open_index(self.settings, corpus)
        log.info("index ready", documents=len(corpus), method=self.settings.retrieval_method)
        return corpus, index

    def _find(self, queries: list[str], top_n: int) -> list[list[Hit]]:
        assert self._loaded is not None
        corpus, index = self._loaded
        with self._metrics.seconds.time():
            rankings: list[Ranking] = index.search(queries, top_n)
        return [[Hit(corpus[row], score) for row, score in ranking] for ranking in rankings]

    def _checked(self, queries: Sequence[str], top_n: int | None) -> int:
        settings = self.settings
        if not 1 <= len(queries) <= settings.max_batch:
            message = f"a request has 1 to {settings.max_batch} queries, got {len(queries)}"
            raise UserError(message, field="query", allowed=f"1 to {settings.max_batch}")
        for query in queries:
            if not query.strip():
                raise UserError(EMPTY_QUERY, field="query")
            if any("\ud800" <= character <= "\udfff" for character in query):
                raise UserError("a query must be valid Unicode (it holds a lone surrogate)", field="query")
            if len(query) > settings.max_query_chars:
                message = f"a query has at most {settings.max_query_chars} characters, got {len(query)}"
                raise UserError(message, field="query")
        count = settings.default_top_n if top_n is None else top_n
        if not 1 <= count <= settings.max_top_n:
            allowed = f"1 to {settings.max_top_n}"
            raise UserError(f"top_n must be {allowed}, got {count}", field="top_n", allowed=allowed)
        return count
