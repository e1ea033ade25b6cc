"""A Qdrant on a loopback port: the routes that the retriever uses, over the client library's local engine."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from qdrant_client import QdrantClient, models


@contextmanager
def running_qdrant(
    collection: str, vectors: Sequence[Sequence[float]], payloads: Sequence[dict[str, Any]], api_key: str | None = None
) -> Iterator[str]:
    """A server with one collection of cosine vectors; its URL."""
    engine = QdrantClient(":memory:")
    size = len(vectors[0])
    engine.create_collection(collection, vectors_config=models.VectorParams(size=size, distance=models.Distance.COSINE))
    engine.upsert(
        collection,
        [
            models.PointStruct(id=n, vector=list(v), payload=p)
            for n, (v, p) in enumerate(zip(vectors, payloads, strict=True))
        ],
    )
    config = uvicorn.Config(_app(engine, api_key), host="127.0.0.1", port=0, log_level="error")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()


def _app(engine: QdrantClient, api_key: str | None) -> FastAPI:
    app = FastAPI()
    lock = threading.Lock()

    def answer(result: Any) -> JSONResponse:
        return JSONResponse({"result": result, "status": "ok", "time": 0.0})

    @app.middleware("http")
    async def keyed(request: Request, call: Any) -> Any:
        if api_key is not None and request.headers.get("api-key") != api_key:
            return JSONResponse({"status": {"error": "forbidden"}}, status_code=403)
        return await call(request)

    @app.get("/collections/{name}/exists")
    def exists(name: str) -> JSONResponse:
        return answer({"exists": engine.collection_exists(name)})

    @app.get("/collections/{name}")
    def collection(name: str) -> JSONResponse:
        return answer(engine.get_collection(name).model_dump(mode="json"))

    @app.post("/collections/{name}/points/query/batch")
    def query(name: str, body: dict[str, Any]) -> JSONResponse:
        requests = [models.QueryRequest.model_validate(search) for search in body["searches"]]
        with lock:
            found = engine.query_batch_points(name, requests=requests)
        return answer([one.model_dump(mode="json") for one in found])

    return app
