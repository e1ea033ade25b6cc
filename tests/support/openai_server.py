"""A model server that speaks OpenAI's protocol over a real socket and answers what a test wants."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

Reply = tuple[int, dict[str, Any]]
Answer = Callable[[dict[str, Any]], Reply]
Identified = Callable[[dict[str, Any], str], Reply]
MODEL = "scripted"


def said(content: str, **fields: Any) -> Reply:
    """A chat answer."""
    message = {"role": "assistant", "content": content}
    return 200, {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]} | fields


def refused(status: int, message: str, **fields: Any) -> Reply:
    """An error in OpenAI's shape."""
    return status, {"error": {"message": message, "type": "BadRequestError", "param": None, "code": status} | fields}


@asynccontextmanager
async def openai_server(
    answer: Answer | None = None, *, identified: Identified | None = None, **model: Any
) -> AsyncIterator[str]:
    """Its URL; ``answer`` gets each request's body, ``identified`` its id as well, ``model`` adds fields in /v1/models."""

    async def complete(request: Request) -> JSONResponse:
        if identified is not None:
            status, body = identified(await request.json(), request.headers["x-request-id"])
        else:
            assert answer is not None
            status, body = answer(await request.json())
        return JSONResponse(body, status_code=status)

    async def models(request: Request) -> JSONResponse:
        return JSONResponse({"object": "list", "data": [{"id": MODEL, "object": "model"} | model]})

    routes = [Route("/v1/models", models), Route("/v1/chat/completions", complete, methods=["POST"])]
    config = uvicorn.Config(Starlette(routes=routes), host="127.0.0.1", port=0, log_level="error")
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    try:
        while not server.started:
            await asyncio.sleep(0.01)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        await serving
