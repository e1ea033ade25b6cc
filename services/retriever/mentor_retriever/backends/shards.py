"""Retrievers that each hold a part of the corpus: all are asked, the best of all answers are the answer.

A shard that does not answer in time is left out, and the answer says so (``missing``); if none answers, that is an error.
Scores must be comparable: dense shards with one encoder are; BM25 weighs words by each shard's own corpus.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import httpx

from mentor.errors import InfrastructureError, UserError
from mentor.rpc.context import outgoing, remaining
from mentor.rpc.errors import from_http
from mentor_retriever.backends.base import Found, Hit
from mentor_retriever.settings import RetrieverSettings


class ShardsBackend:
    """See ``Backend``."""

    waiting = 0

    def __init__(self, settings: RetrieverSettings, documents: int) -> None:
        self._settings = settings
        self.documents = documents
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=64)
        self._client = httpx.AsyncClient(limits=limits, timeout=settings.remote_timeout_s, trust_env=False)

    async def rank(self, query: str, top_n: int) -> Found:
        """See ``Backend.rank``."""
        urls = self._settings.remote_urls
        answers = await asyncio.gather(*(self._ask(url, query, top_n) for url in urls))
        missing = tuple(url for url, answer in zip(urls, answers, strict=True) if answer is None)
        if len(missing) == len(urls):
            raise InfrastructureError(f"none of {len(urls)} shards answers")
        hits = [hit for answer in answers if answer is not None for hit in answer]
        return Found(hits=tuple(sorted(hits, key=lambda hit: -hit.score)[:top_n]), missing=missing)

    async def fetch(self, found: Found) -> list[Hit]:
        """See ``Backend.fetch``; the documents came with the answer."""
        return list(found.hits)

    async def warm_up(self, queries: Sequence[str]) -> None:
        """See ``Backend.warm_up``."""
        await self.rank(queries[0], 1)

    async def close(self) -> None:
        """See ``Backend.close``."""
        await self._client.aclose()

    async def _ask(self, url: str, query: str, top_n: int) -> list[Hit] | None:
        timeout = remaining(self._settings.remote_timeout_s)
        try:
            response = await self._client.post(
                f"{url.rstrip('/')}/v1/search",
                json={"query": query, "top_n": top_n},
                headers=outgoing(timeout),
                timeout=timeout,
            )
        except httpx.HTTPError:
            return None
        if response.status_code == 429 or response.status_code >= 500:
            return None
        if response.is_error:
            raise from_http(response)
        return [Hit(hit["document"], float(hit["score"])) for hit in response.json()["hits"]]


def open_shards(settings: RetrieverSettings) -> ShardsBackend:
    """Look whether each shard is there; blocks.

    Raises:
        UserError: a shard is named that is no retriever's URL, or does not answer (at start all must).
    """
    documents = 0
    for url in settings.remote_urls:
        try:
            found = httpx.get(f"{url.rstrip('/')}/health", timeout=settings.remote_timeout_s, trust_env=False)
            documents += int(found.raise_for_status().json()["documents"])
        except (httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError, TypeError) as error:
            reason = str(error) or type(error).__name__
            raise UserError(f"{url} is no retriever that answers: {reason}", field="remote_urls") from None
    return ShardsBackend(settings, documents)
