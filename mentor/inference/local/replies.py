"""What answers of the chat and the completion endpoint have in common, streamed or not."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Any, TypeVar

from fastapi import Request, Response
from fastapi.responses import JSONResponse, StreamingResponse

from mentor.errors import MentorError, UserError
from mentor.inference.base import Generation, SamplingParams
from mentor.inference.local.backend import Backend, ClientGone, while_connected
from mentor.inference.local.openai_errors import error_body
from mentor.rpc.context import remaining

_CLIENT_CLOSED = 499
T = TypeVar("T")


def envelope(backend: Backend, prefix: str, kind: str) -> dict[str, Any]:
    """The fields around the choices of a reply."""
    return {"id": f"{prefix}-{uuid.uuid4().hex}", "object": kind, "created": int(time.time()), "model": backend.name}


def usage(prompt_tokens: int, generations: Iterable[Generation]) -> dict[str, int]:
    """Token counts of a request."""
    generated = sum(len(generation.token_ids) for generation in generations)
    return {"prompt_tokens": prompt_tokens, "completion_tokens": generated, "total_tokens": prompt_tokens + generated}


async def reply(request: Request, work: Awaitable[T], body: Callable[[T], dict[str, Any]]) -> Response:
    """The result of ``work`` as a body, unless the caller leaves before."""
    try:
        return JSONResponse(body(await while_connected(request, work)))
    except ClientGone:
        return Response(status_code=_CLIENT_CLOSED)


def streamed(lines: AsyncIterator[str], choices: int) -> Response:
    """Server-sent events, ended as OpenAI's are, with an error's body among them if one occurs.

    Raises:
        UserError: there is more than one choice.
    """
    if choices != 1:
        raise UserError("more than one choice in a streamed request", field="n", allowed="1 with stream")
    return StreamingResponse(_ended(lines), media_type="text/event-stream")


async def _ended(lines: AsyncIterator[str]) -> AsyncIterator[str]:
    try:
        async for line in lines:
            yield line
    except MentorError as error:
        yield event(error_body(error))
    yield "data: [DONE]\n\n"


def event(body: dict[str, Any]) -> str:
    """One server-sent event."""
    return f"data: {json.dumps(body)}\n\n"


async def growing_text(
    backend: Backend, prompt: list[int], params: SamplingParams, *, skip_special: bool
) -> AsyncIterator[tuple[str, int | Generation]]:
    """The whole text so far with each token, and in the end with the generation. A token that ends the turn adds none."""
    ids: list[int] = []
    text = ""
    async for item in backend.engine.stream(prompt, params, timeout_s=remaining(backend.timeout_s)):
        if isinstance(item, Generation):
            yield text, item
            continue
        if item[0] not in backend.engine.end_ids and item[0] not in params.stop_token_ids:
            ids.append(item[0])
        text = backend.decode(ids, skip_special=skip_special)
        yield text, item[0]
