"""POST /v1/completions: text or token ids in, text (and token ids) out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from fastapi import APIRouter, Request, Response

from mentor.errors import UserError
from mentor.inference.base import Generation, SamplingParams
from mentor.inference.local.backend import Backend
from mentor.inference.local.openai_errors import OpenAIRoute
from mentor.inference.local.replies import envelope, event, growing_text, reply, streamed, usage
from mentor.inference.local.schemas import CompletionRequest


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
            return streamed(_stream(backend, body, prompts[0], params[0]), len(prompts) * body.n)
        return await reply(
            request, _run(backend, prompts, params, body.n), lambda done: _completion(backend, body, prompts, done)
        )

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


def _completion(
    backend: Backend, body: CompletionRequest, prompts: list[list[int]], groups: list[list[Generation]]
) -> dict[str, Any]:
    flat = [(prompt, generation) for prompt, group in zip(prompts, groups, strict=True) for generation in group]
    choices = [_choice(backend, body, prompt, generation, n) for n, (prompt, generation) in enumerate(flat)]
    counts = usage(sum(map(len, prompts)), (generation for _, generation in flat))
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


async def _stream(
    backend: Backend, body: CompletionRequest, prompt: list[int], params: SamplingParams
) -> AsyncIterator[str]:
    around = _envelope(backend)

    def chunk(text: str, token: int | None, finish: str | None) -> str:
        choice: dict[str, Any] = {"index": 0, "text": text, "finish_reason": finish, "logprobs": None}
        if body.return_token_ids and token is not None:
            choice["token_ids"] = [token]
        return event(around | {"choices": [choice]})

    sent = 0
    async for text, item in growing_text(backend, prompt, params, skip_special=body.skip_special_tokens):
        if isinstance(item, Generation):
            yield chunk("", None, item.finish_reason)
            continue
        ready = text.removesuffix("\ufffd")
        yield chunk(ready[sent:], item, None)
        sent = max(sent, len(ready))


def _envelope(backend: Backend) -> dict[str, Any]:
    return envelope(backend, "cmpl", "text_completion")
