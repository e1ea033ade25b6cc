"""A collection of Qdrant, for corpora that outgrow a machine. Queries are encoded here and searched there, in batches.

A point's payload is the document: ``{id, contents, ...}``, as ``{text}`` where it has no contents.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mentor.errors import InfrastructureError, UserError
from mentor.rpc.credentials import read_secret
from mentor_retriever.backends.base import Found, Hit
from mentor_retriever.encoders import Encoder
from mentor_retriever.encoders.factory import open_encoder
from mentor_retriever.pipeline.batcher import BatchRecord, MicroBatcher
from mentor_retriever.settings import RetrieverSettings


class QdrantBackend:
    """See ``Backend``."""

    def __init__(self, settings: RetrieverSettings, encoder: Encoder, client: Any, documents: int,
                 seen: Callable[[BatchRecord], None]) -> None:  # fmt: skip
        self._settings, self._encoder, self._client = settings, encoder, client
        self.documents = documents
        self._threads = ThreadPoolExecutor(2 * settings.workers, thread_name_prefix="qdrant")
        self._encode: MicroBatcher[str, NDArray[np.float32]] = MicroBatcher(
            "encode", self._encoded, self._threads,
            workers=settings.workers, max_batch=settings.encode_batch_size, seen=seen,
        )  # fmt: skip
        self._search: MicroBatcher[tuple[NDArray[np.float32], int], tuple[Hit, ...]] = MicroBatcher(
            "remote", self._asked, self._threads,
            workers=settings.workers, max_batch=settings.search_batch_size, seen=seen,
        )  # fmt: skip

    @property
    def waiting(self) -> int:
        """See ``Backend.waiting``."""
        return self._encode.waiting + self._search.waiting

    async def rank(self, query: str, top_n: int) -> Found:
        """See ``Backend.rank``."""
        return Found(hits=await self._search.submit((await self._encode.submit(query), top_n)))

    async def fetch(self, found: Found) -> list[Hit]:
        """See ``Backend.fetch``; the documents came with the answer."""
        return list(found.hits)

    async def warm_up(self, queries: Sequence[str]) -> None:
        """See ``Backend.warm_up``."""
        await asyncio.gather(*(self.rank(query, self._settings.default_top_n) for query in queries))

    async def close(self) -> None:
        """See ``Backend.close``."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._client.close()

    def _encoded(self, queries: Sequence[str]) -> list[NDArray[np.float32]]:
        return list(self._encoder.encode_queries(queries))

    def _asked(self, asked: Sequence[tuple[NDArray[np.float32], int]]) -> list[tuple[Hit, ...]]:
        from qdrant_client import models

        requests = [
            models.QueryRequest(query=vector.tolist(), limit=top_n, with_payload=True) for vector, top_n in asked
        ]
        try:
            answers = self._client.query_batch_points(self._settings.remote_collection, requests=requests)
        except Exception as error:  # the client raises errors of several libraries
            raise _unreachable(self._settings, error) from None
        return [tuple(Hit(_document(point), float(point.score)) for point in answer.points) for answer in answers]


def open_qdrant(settings: RetrieverSettings, seen: Callable[[BatchRecord], None]) -> QdrantBackend:
    """Open the encoder and look at the collection; blocks.

    Raises:
        UserError: no such collection, or its vectors have another dimension.
        InfrastructureError: Qdrant does not answer.
    """
    try:
        from qdrant_client import QdrantClient
    except ImportError:
        raise UserError("backend qdrant needs the package qdrant-client", field="backend") from None
    encoder = open_encoder(settings)
    key = settings.remote_api_key_file
    client: Any = QdrantClient(
        url=settings.remote_urls[0],
        api_key=None if key is None else read_secret(key, "remote_api_key_file"),
        timeout=round(max(1.0, settings.remote_timeout_s)),
        check_compatibility=False,
    )
    try:
        if not client.collection_exists(settings.remote_collection):
            raise UserError(f"Qdrant has no collection {settings.remote_collection!r}", field="remote_collection")
        found = client.get_collection(settings.remote_collection)
    except UserError:
        raise
    except Exception as error:
        raise _unreachable(settings, error) from None
    size = getattr(found.config.params.vectors, "size", None)
    if size != encoder.dimension:
        message = f"the collection's vectors have dimension {size}, the encoder's {encoder.dimension}"
        raise UserError(message, field="remote_collection")
    return QdrantBackend(settings, encoder, client, int(found.points_count or 0), seen)


def _document(point: Any) -> dict[str, Any]:
    payload = dict(point.payload or {})
    contents = payload.get("contents", payload.get("text", ""))
    return {**payload, "id": str(payload.get("id", point.id)), "contents": str(contents)}


def _unreachable(settings: RetrieverSettings, error: Exception) -> InfrastructureError:
    reason = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
    return InfrastructureError(f"Qdrant at {settings.remote_urls[0]}: {reason}")
