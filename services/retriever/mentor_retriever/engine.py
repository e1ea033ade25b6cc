"""The retriever itself, behind both transports: validation, admission, deadlines, the index in service and its swap."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import structlog
from prometheus_client import CollectorRegistry
from pydantic import ValidationError

from mentor.errors import ConflictError, DeadlineError, InfrastructureError, OverloadedError, UserError
from mentor.rpc.context import remaining
from mentor.serving.settings import setting_error
from mentor_retriever.backends import Hit
from mentor_retriever.generation import Generation, give_back_memory, in_daemon, open_backend
from mentor_retriever.metrics import RetrieverMetrics
from mentor_retriever.pipeline import QueryGate
from mentor_retriever.settings import RetrieverSettings

log = structlog.get_logger("retriever")
EMPTY_QUERY = "Query content cannot be empty"
"""The published server's words; clients compare them."""
_WARM = tuple(f"warm up with {number} words of some length" for number in range(8))


@dataclass(frozen=True)
class Answer:
    """Best first; ``missing`` names the shards that did not answer."""

    hits: list[Hit]
    missing: tuple[str, ...] = ()


class Retriever:
    """Searches one corpus."""

    def __init__(self, settings: RetrieverSettings, registry: CollectorRegistry) -> None:
        self.settings = settings
        self._gate = QueryGate(settings.max_queue)
        self._metrics = RetrieverMetrics(registry, self._waiting, lambda: self._gate.requests)
        self._current: Generation | None = None
        self._swapping = asyncio.Lock()
        self._retiring: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """Load and warm up in a thread, so that health and readiness answer meanwhile."""
        self._install(await self._loaded(1, self.settings))
        try:
            yield
        finally:
            if self._current is not None:
                await self._current.backend.close()

    async def search(self, queries: Sequence[str], top_n: int | None, endpoint: str) -> list[Answer]:
        """The best documents for each query.

        Args:
            endpoint: for the metrics: ``search``, ``batch_search`` or ``retrieve``.

        Raises:
            UserError: a blank or over-long query, no queries, too many of them, ``top_n`` out of range.
            OverloadedError, DeadlineError: the queue is full, or the caller's deadline passed.
            InfrastructureError: still loading, or no shard answers.
        """
        count = self._checked(queries, top_n)
        generation = self._current
        if generation is None:
            raise InfrastructureError("the index is being loaded")
        try:
            with self._gate.admit(len(queries)), generation.used(), self._metrics.seconds.time():
                async with asyncio.timeout(remaining(self.settings.queue_timeout_s)):
                    answers = await asyncio.gather(*(self._answer(generation, query, count) for query in queries))
        except OverloadedError:
            self._metrics.refused.inc()
            raise
        except TimeoutError:
            raise DeadlineError("the call's deadline passed before its queries were answered") from None
        self._metrics.queries.labels(endpoint).inc(len(queries))
        self._metrics.partial.inc(sum(bool(answer.missing) for answer in answers))
        return answers

    async def swap(self, changes: dict[str, Any]) -> dict[str, Any]:
        """Load another index beside the one in service and put it in its place; requests under way end with the old one.

        Args:
            changes: settings that differ (``index_path``, ``corpus_path`` ...).

        Raises:
            UserError: a setting or what it names cannot be used; the old index stays in service.
            ConflictError: another swap is under way.
        """
        if self._swapping.locked() or self._current is None:
            raise ConflictError("an index is being loaded already")
        async with self._swapping:
            try:
                settings = RetrieverSettings(**{**self._current.settings.model_dump(), **changes})
            except ValidationError as error:
                raise setting_error(error) from None
            fresh = await self._loaded(self._current.number + 1, settings)
            old = self._current
            self._install(fresh)
            task = asyncio.get_running_loop().create_task(_retired(old))
            self._retiring.add(task)
            task.add_done_callback(self._retiring.discard)
        return self.state()

    def state(self) -> dict[str, Any]:
        """What is in service, for operators."""
        current = self._current
        if current is None:
            return {"generation": 0, "loading": True}
        named = current.settings.model_dump(mode="json", include={"corpus_path", "index_path", "retrieval_method"})
        documents = current.backend.documents
        return {"generation": current.number, "loading": self._swapping.locked(), "documents": documents, **named}

    def ready(self) -> str | None:
        """Why queries cannot be taken now."""
        return None if self._current else "the index is being loaded"

    def health(self) -> dict[str, Any]:
        """The published fields, and what is being searched."""
        available = int(self._current is not None)
        return {
            "status": "healthy" if available else "loading",
            "retrievers": {"total": 1, "available": available},
            "retrieval_method": self.settings.retrieval_method,
            "documents": (self._current.backend.documents or 0) if self._current else 0,
            "generation": self._current.number if self._current else 0,
        }

    async def _answer(self, generation: Generation, query: str, top_n: int) -> Answer:
        backend = generation.backend
        found = await generation.cache.get((query, top_n), lambda: backend.rank(query, top_n))
        return Answer(await backend.fetch(found), found.missing)

    async def _loaded(self, number: int, settings: RetrieverSettings) -> Generation:
        backend = await in_daemon(lambda: open_backend(settings, self._metrics))
        generation = Generation(number, settings, backend, self._metrics)
        await backend.warm_up(_WARM)
        return generation

    def _install(self, generation: Generation) -> None:
        self._current = generation
        self._metrics.documents.set(generation.backend.documents or 0)
        self._metrics.generation.set(generation.number)
        log.info("index ready", **self.state())

    def _waiting(self) -> int:
        return self._current.backend.waiting if self._current else 0

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


async def _retired(old: Generation) -> None:
    await old.retire()
    del old
    await asyncio.to_thread(give_back_memory)
