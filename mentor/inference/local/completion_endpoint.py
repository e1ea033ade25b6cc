"""POST /v1/completions: text or token ids in, text (and token ids) out."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import AsyncIterator
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse

from mentor.errors import MentorError, UserError
from mentor.inference.base import Generation, SamplingParams
from mentor.inference.local.backend import Backend, ClientGone, while_connected
from mentor.inference.local.chat_endpoint import CLIENT_CLOSED
from mentor.inference.local.openai_errors import OpenAIRoute, error_body
from mentor.inference.local.schemas import CompletionRequest
from mentor.rpc.context import remaining


def completion_router(backend: Backend) -> APIRouter:
    """The endpoint on a served model."""
    router = APIRouter(route_class=OpenAIRoute, tags=["openai"])

    @router.post("/v1/completions", response_model=None)
    async def completions(body: CompletionRequest, request: Request) -> Response:
        """Continue one prompt or several."""
        backend.check_model(body.model)
        prompts = prompt_ids(backend, body.prompt)
        params = [body.params(backend.budget(prompt, body.max_tokens or 16)) for prompt in prompts]
        if body.stream:
            if len(prompts) * body.n != 1:
                raise UserError("more than one choice in a streamed request", field="n", allowed="1 with stream")
            return StreamingResponse(_stream(backend, body, prompts[0], params[0]), media_type="text/event-stream")
        try:
            groups = await while_connected(request, _run(backend, prompts, params, body.n))
        except ClientGone:
            return Response(status_code=CLIENT_CLOSED)
        return JSONResponse(_reply(backend, body, prompts, groups))

    return router


def prompt_ids(backend: Backend, prompt: str | list[int] | list[str] | list[list[int]]) -> list[list[int]]:
    """Every prompt of a request as token ids.

    Raises:
        UserError: there is none, or one is empty.
    """
    single = isinstance(prompt, str) or (bool(prompt) and isinstance(prompt[0], int))
    prompts: list[Any] = [prompt] if single else list(prompt)
    encoded = [backend.encode(item) if isinstance(item, str) else list(item) for item in prompts]
    if not encoded or not all(encoded):
        raise UserError("the prompt is empty", field="prompt", allowed="at least one token")
    return encoded


async def _run(
    backend: Backend, prompts: list[list[int]], params: list[SamplingParams], n: int
) -> list[list[Generation]]:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(backend.run(p, s, n)) for p, s in zip(prompts, params, strict=True)]
    return [task.result() for task in tasks]


def _reply(
    backend: Backend, body: CompletionRequest, prompts: list[list[int]], groups: list[list[Generation]]
) -> dict[str, Any]:
    flat = [(prompt, generation) for prompt, group in zip(prompts, groups, strict=True) for generation in group]
    choices = [_choice(backend, body, prompt, generation, n) for n, (prompt, generation) in enumerate(flat)]
    prompt_tokens, generated = sum(map(len, prompts)), sum(len(generation.token_ids) for _, generation in flat)
    counts = {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": generated,
        "total_tokens": prompt_tokens + generated,
    }
    return _envelope(backend) | {"choices": choices, "usage": counts}


def _choice(
    backend: Backend, body: CompletionRequest, prompt: list[int], generation: Generation, index: int
) -> dict[str, Any]:
    choice: dict[str, Any] = {
        "index": index,
        "text": backend.decode(backend.spoken(generation), skip_special=body.skip_special_tokens),
        "finish_reason": generation.finish_reason,
        "logprobs": None,
    }
    if body.logprobs is not None:
        choice["logprobs"] = _logprobs(backend, generation)
    if body.return_token_ids:
        choice |= {"token_ids": list(generation.token_ids), "prompt_token_ids": prompt}
    return choice


def _logprobs(backend: Backend, generation: Generation) -> dict[str, Any]:
    tokens = [backend.decode([token], skip_special=False) for token in generation.token_ids]
    offsets = [sum(map(len, tokens[:index])) for index in range(len(tokens))]
    return {
        "tokens": tokens,
        "token_logprobs": list(generation.logprobs or ()),
        "top_logprobs": None,
        "text_offset": offsets,
    }


def _envelope(backend: Backend) -> dict[str, Any]:
    return {
        "id": f"cmpl-{uuid.uuid4().hex}",
        "object": "text_completion",
        "created": int(time.time()),
        "model": backend.name,
    }


async def _stream(
    backend: Backend, body: CompletionRequest, prompt: list[int], params: SamplingParams
) -> AsyncIterator[str]:
    envelope = _envelope(backend)

    def event(text: str, token: int | None, finish: str | None) -> str:
        choice: dict[str, Any] = {"index": 0, "text": text, "finish_reason": finish, "logprobs": None}
        if body.return_token_ids and token is not None:
            choice["token_ids"] = [token]
        return f"data: {json.dumps(envelope | {'choices': [choice]})}\n\n"

    ids: list[int] = []
    sent = 0
    try:
        async for item in backend.engine.stream(prompt, params, timeout_s=remaining(backend.timeout_s)):
            if isinstance(item, Generation):
                yield event("", None, item.finish_reason)
                continue
            if item[0] not in backend.engine.end_ids and item[0] not in params.stop_token_ids:
                ids.append(item[0])
            ready = backend.decode(ids, skip_special=body.skip_special_tokens).removesuffix("\ufffd")
            yield event(ready[sent:], item[0], None)
            sent = max(sent, len(ready))
    except MentorError as error:
        yield f"data: {json.dumps(error_body(error))}\n\n"
    yield "data: [DONE]\n\n"
