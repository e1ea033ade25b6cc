"""A stand-in for Search-R1's retrieval server, written for the benchmark.

As there: FastAPI, a synchronous ``/retrieve`` on the framework's thread pool (40 threads), one encoder and one index for
all of them, no batching over requests, no bound. ``python -m benchmarks.retriever.search_r1_server PORT CORPUS INDEX
MODEL``.
"""

from __future__ import annotations

import sys
from typing import Any

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

from benchmarks.retriever.published import Dense

QUERY_MAX_LENGTH = 256


class Request(BaseModel):
    """The published request."""

    queries: list[str]
    topk: int | None = None
    return_scores: bool = False


def application(dense: Dense) -> FastAPI:
    """The published route."""
    app = FastAPI()

    @app.post("/retrieve")
    def retrieve(request: Request) -> dict[str, Any]:
        found = dense.search(request.queries, request.topk or 3)
        if not request.return_scores:
            return {"result": [documents for documents, _ in found]}
        pairs = (zip(documents, scores, strict=True) for documents, scores in found)
        return {"result": [[{"document": document, "score": score} for document, score in each] for each in pairs]}

    return app


def main() -> None:
    """See the module."""
    port, corpus, index, model = sys.argv[1:]
    uvicorn.run(application(Dense(corpus, index, model, QUERY_MAX_LENGTH)), host="127.0.0.1", port=int(port))


if __name__ == "__main__":
    main()
