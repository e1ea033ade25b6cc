"""A stand-in for MENTOR/ReCall's retriever server on FlashRAG, written for the benchmark.

As there: FastAPI, an asynchronous ``/search``, N whole retrievers (each its own index and encoder) behind a semaphore, a
new thread pool for every request. Unlike FlashRAG it encodes all of a query, once: there a single query is sliced into
pieces of 64 characters that are all encoded and searched.
``python -m benchmarks.retriever.recall_server PORT CORPUS INDEX MODEL RETRIEVERS``.
"""

from __future__ import annotations

import asyncio
import sys
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import uvicorn
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel

from benchmarks.retriever.published import Dense

QUERY_MAX_LENGTH = 128


class Request(BaseModel):
    """The published request of ``/search``."""

    query: str
    top_n: int = 10
    return_score: bool = False


class BatchRequest(BaseModel):
    """The published request of ``/batch_search``."""

    query: list[str]
    top_n: int = 10
    return_score: bool = False


class Retrievers:
    """One of them for a request, when one is free."""

    def __init__(self, retrievers: list[Dense]) -> None:
        self._free = deque(retrievers)
        self._semaphore, self._lock = asyncio.Semaphore(len(retrievers)), asyncio.Lock()

    async def search(self, queries: list[str], count: int) -> list[tuple[list[dict[str, Any]], list[float]]]:
        """See ``Dense.search``."""
        async with self._semaphore:
            async with self._lock:
                dense = self._free.popleft()
            try:
                with ThreadPoolExecutor() as threads:
                    return await asyncio.get_running_loop().run_in_executor(threads, dense.search, queries, count)
            finally:
                async with self._lock:
                    self._free.append(dense)


def application(retrievers: Retrievers) -> FastAPI:
    """The published routes."""
    app = FastAPI()

    @app.post("/search")
    async def search(request: Request) -> Any:
        if not request.query.strip():
            raise HTTPException(status_code=400, detail="Query content cannot be empty")
        ((documents, scores),) = await retrievers.search([request.query], request.top_n)
        return (documents, scores) if request.return_score else documents

    @app.post("/batch_search")
    async def batch_search(request: BatchRequest) -> Any:
        found = await retrievers.search(request.query, request.top_n)
        documents, scores = [each[0] for each in found], [each[1] for each in found]
        return (documents, scores) if request.return_score else documents

    return app


def main() -> None:
    """See the module."""
    port, corpus, index, model, retrievers = sys.argv[1:]
    made = [Dense(corpus, index, model, QUERY_MAX_LENGTH) for _ in range(int(retrievers))]
    uvicorn.run(application(Retrievers(made)), host="127.0.0.1", port=int(port))


if __name__ == "__main__":
    main()
