"""Routes for operators: which index is in service, and its replacement. They listen where administration does."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict

from mentor_retriever.engine import Retriever


class SwapBody(BaseModel):
    """What the next index differs in; what is left out stays."""

    model_config = ConfigDict(extra="forbid")

    corpus_path: str | None = None
    index_path: str | None = None
    bm25_index_path: str | None = None
    nprobe: int | None = None
    ef_search: int | None = None
    refine: int | None = None


def create_admin_router(retriever: Retriever) -> APIRouter:
    """The retriever's routes for operators."""
    router = APIRouter(tags=["administration"])

    @router.get("/v1/index")
    async def index() -> dict[str, Any]:
        """Generation, corpus and index in service."""
        return retriever.state()

    @router.post("/v1/index/swap")
    async def swap(body: SwapBody) -> dict[str, Any]:
        """Load another index and put it in service; answers when that is done, and requests are served meanwhile."""
        return await retriever.swap(body.model_dump(exclude_none=True))

    return router
