"""A model server that streams, piece by piece, as fast as a test lets it."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

MODEL = "streaming"
Pieces = Sequence[dict[str, Any] | threading.Event | None]
"""Deltas; at an event the server waits for it, at None it breaks off."""


def chunk(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
    """One of OpenAI's chunks."""
    return {"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}


@contextmanager
def streaming_server(answer: Callable[[dict[str, Any]], tuple[Pieces, str]]) -> Iterator[str]:
    """Its URL; ``answer`` gives the pieces to a request's body, and why they end."""

    async def pieces(body: dict[str, Any]) -> AsyncIterator[str]:
        told, finish = answer(body)
        for piece in told:
            if piece is None:
                return
            if isinstance(piece, threading.Event):
                await asyncio.to_thread(piece.wait, 600)
            else:
                yield f"data: {json.dumps(chunk(piece))}\n\n"
        yield f"data: {json.dumps(chunk({}, finish))}\n\n"
        usage = {"prompt_tokens": 9, "completion_tokens": 4}
        yield f"data: {json.dumps({'choices': [], 'usage': usage})}\n\ndata: [DONE]\n\n"

    async def complete(request: Request) -> Response:
        body = await request.json()
        if not body.get("stream"):
            return JSONResponse({"error": {"message": "this server only streams"}}, 400)
        return StreamingResponse(pieces(body), media_type="text/event-stream")

    async def models(request: Request) -> Response:
        return JSONResponse({"data": [{"id": MODEL}]})

    routes = [Route("/v1/models", models), Route("/v1/chat/completions", complete, methods=["POST"])]
    server = uvicorn.Server(uvicorn.Config(Starlette(routes=routes), host="127.0.0.1", port=0, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        threading.Event().wait(0.01)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(30)
