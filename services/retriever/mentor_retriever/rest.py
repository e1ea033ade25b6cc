"""REST: the routes of MENTOR/ReCall and of Search-R1 as their clients send them, and the twins of the RPCs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict

from mentor.serving.responses import AsciiJSONResponse
from mentor_retriever.backends import Hit
from mentor_retriever.engine import Answer, Retriever

MISSING_HEADER = "x-mentor-missing-shards"


class SearchBody(BaseModel):
    """The published request of ``/search``."""

    query: str
    top_n: int | None = None
    return_score: bool = False


class BatchSearchBody(BaseModel):
    """The published request of ``/batch_search``."""

    query: list[str]
    top_n: int | None = None
    return_score: bool = False


class RetrieveBody(BaseModel):
    """Search-R1's request."""

    queries: list[str]
    topk: int | None = None
    return_scores: bool = False


class SearchTwin(BaseModel):
    """Twin of ``SearchRequest``."""

    model_config = ConfigDict(extra="forbid")

    query: str
    top_n: int | None = None


class BatchSearchTwin(BaseModel):
    """Twin of ``BatchSearchRequest``."""

    model_config = ConfigDict(extra="forbid")

    queries: list[str]
    top_n: int | None = None


def create_router(retriever: Retriever) -> APIRouter:
    """The retriever's routes."""
    router = APIRouter(tags=["retriever"])

    @router.post("/search")
    async def search(body: SearchBody) -> AsciiJSONResponse:
        """``[doc]``, with scores ``[[doc], [score]]``."""
        answers = await retriever.search([body.query], body.top_n, "search")
        return _response(_published(answers[0].hits, body.return_score), answers)

    @router.post("/batch_search")
    async def batch_search(body: BatchSearchBody) -> AsciiJSONResponse:
        """``[[doc]]``, with scores ``[[[doc], [score]]]``."""
        answers = await retriever.search(body.query, body.top_n, "batch_search")
        return _response([_published(answer.hits, body.return_score) for answer in answers], answers)

    @router.post("/retrieve")
    async def retrieve(body: RetrieveBody) -> AsciiJSONResponse:
        """``{"result": [[doc]]}``, with scores ``{"result": [[{"document", "score"}]]}``."""
        answers = await retriever.search(body.queries, body.topk, "retrieve")
        shape = _scored if body.return_scores else _documents
        return _response({"result": [shape(answer.hits) for answer in answers]}, answers)

    @router.post("/v1/search")
    async def search_twin(body: SearchTwin) -> AsciiJSONResponse:
        """``{"hits": [{"document", "score"}]}``, and ``missing_shards`` where some did not answer."""
        answers = await retriever.search([body.query], body.top_n, "search")
        return _response(_twin(answers[0]), answers)

    @router.post("/v1/batch_search")
    async def batch_search_twin(body: BatchSearchTwin) -> AsciiJSONResponse:
        """``{"results": [{"hits": [{"document", "score"}]}]}``."""
        answers = await retriever.search(body.queries, body.top_n, "batch_search")
        return _response({"results": [_twin(answer) for answer in answers]}, answers)

    return router


def _response(content: Any, answers: Sequence[Answer]) -> AsciiJSONResponse:
    """With a header that names the shards which are missing, for clients whose answers have no place for it."""
    missing = sorted({shard for answer in answers for shard in answer.missing})
    return AsciiJSONResponse(content, headers={MISSING_HEADER: ",".join(missing)} if missing else None)


def _twin(answer: Answer) -> dict[str, Any]:
    partial = {"missing_shards": list(answer.missing)} if answer.missing else {}
    return {"hits": _scored(answer.hits), **partial}


def _documents(hits: list[Hit]) -> list[Any]:
    return [hit.document for hit in hits]


def _scored(hits: list[Hit]) -> list[Any]:
    return [{"document": hit.document, "score": hit.score} for hit in hits]


def _published(hits: list[Hit], with_scores: bool) -> list[Any]:
    return [_documents(hits), [hit.score for hit in hits]] if with_scores else _documents(hits)
