"""gRPC: the same engine behind ``mentor.rpc.v1.RetrieverService``."""

from __future__ import annotations

import json
from typing import Any

from grpc.aio import ServicerContext

from mentor.rpc.v1 import retriever_pb2 as pb
from mentor.rpc.v1.retriever_pb2_grpc import RetrieverServiceServicer
from mentor_retriever.backends import Hit
from mentor_retriever.engine import Retriever

FULL_NAME = pb.DESCRIPTOR.services_by_name["RetrieverService"].full_name
Context = ServicerContext[Any, Any]


class RetrieverServicer(RetrieverServiceServicer):  # type: ignore[misc]
    """Translates messages; everything else is the engine's."""

    def __init__(self, retriever: Retriever) -> None:
        self._retriever = retriever

    async def Search(self, request: pb.SearchRequest, context: Context) -> pb.SearchResponse:
        """Answer one query."""
        top_n = request.top_n if request.HasField("top_n") else None
        (answer,) = await self._retriever.search([request.query], top_n, "search")
        return pb.SearchResponse(hits=[_hit(hit) for hit in answer.hits], missing_shards=answer.missing)

    async def BatchSearch(self, request: pb.BatchSearchRequest, context: Context) -> pb.BatchSearchResponse:
        """Answer many queries."""
        top_n = request.top_n if request.HasField("top_n") else None
        answers = await self._retriever.search(list(request.queries), top_n, "batch_search")
        results = [
            pb.SearchResult(hits=[_hit(hit) for hit in answer.hits], missing_shards=answer.missing)
            for answer in answers
        ]
        return pb.BatchSearchResponse(results=results)


def _hit(hit: Hit) -> pb.Hit:
    extra = {key: value for key, value in hit.document.items() if key not in ("id", "contents")}
    document = pb.Document(id=hit.document["id"], contents=hit.document["contents"], extra_json=json.dumps(extra))
    return pb.Hit(document=document, score=hit.score)
