"""What is not OpenAI's: token ids in and out (vLLM's /inference/v1/generate), tokenisation, and the list of models."""

from __future__ import annotations

import time
import uuid
from typing import Any

from fastapi import APIRouter, Request, Response

from mentor.errors import UserError
from mentor.inference.base import Generation, SamplingParams
from mentor.inference.local.backend import Backend
from mentor.inference.local.chat_endpoint import logprob_content
from mentor.inference.local.openai_errors import OpenAIRoute
from mentor.inference.local.replies import reply
from mentor.inference.local.schemas import DetokenizeRequest, GenerateRequest, TokenizeRequest


def token_router(backend: Backend) -> APIRouter:
    """The endpoints on a served model."""
    router = APIRouter(route_class=OpenAIRoute)
    started = int(time.time())

    @router.get("/v1/models", tags=["openai"])
    async def models() -> dict[str, Any]:
        """The one model served."""
        return {"object": "list", "data": [_model(backend, started)]}

    @router.get("/v1/models/{name:path}", tags=["openai"])
    async def model(name: str) -> dict[str, Any]:
        """One model by name."""
        backend.check_model(name)
        return _model(backend, started)

    @router.post("/inference/v1/generate", response_model=None, tags=["tokens"])
    async def generate(body: GenerateRequest, request: Request) -> Response:
        """Continue token ids."""
        backend.check_model(body.model)
        asked = body.sampling_params
        limit = backend.budget(body.token_ids, asked.max_tokens)
        params = SamplingParams(
            temperature=asked.temperature,
            top_p=asked.top_p,
            top_k=asked.top_k,
            max_tokens=limit,
            seed=asked.seed,
            stop_token_ids=tuple(asked.stop_token_ids),
        )

        def answer(generations: list[Generation]) -> dict[str, Any]:
            choices = [_token_choice(backend, generation, n) for n, generation in enumerate(generations)]
            return {"request_id": body.request_id or uuid.uuid4().hex, "choices": choices}

        return await reply(request, backend.run(body.token_ids, params, asked.n), answer)

    @router.post("/tokenize", tags=["tokens"])
    async def tokenize(body: TokenizeRequest) -> dict[str, Any]:
        """Token ids of a text, or of messages through the chat template."""
        backend.check_model(body.model)
        ids = _tokenize(backend, body)
        strings = [backend.decode([i], skip_special=False) for i in ids] if body.return_token_strs else None
        return {
            "count": len(ids),
            "max_model_len": backend.engine.context_length,
            "tokens": ids,
            "token_strs": strings,
        }

    @router.post("/detokenize", tags=["tokens"])
    async def detokenize(body: DetokenizeRequest) -> dict[str, str]:
        """Text of token ids, special tokens included."""
        backend.check_model(body.model)
        if any(token < 0 or token >= backend.engine.vocabulary for token in body.tokens):
            raise UserError("a token id is outside the vocabulary", field="tokens")
        return {"prompt": backend.decode(body.tokens, skip_special=False)}

    return router


def _tokenize(backend: Backend, body: TokenizeRequest) -> list[int]:
    if (body.prompt is None) == (body.messages is None):
        raise UserError("give either prompt or messages", field="prompt", allowed="exactly one of prompt, messages")
    if body.messages is not None:
        return backend.render(body.messages, body.tools or [])
    return backend.encode(body.prompt or "")


def _token_choice(backend: Backend, generation: Generation, index: int) -> dict[str, Any]:
    return {
        "index": index,
        "token_ids": list(generation.token_ids),
        "finish_reason": generation.finish_reason,
        "logprobs": {"content": logprob_content(backend, generation)},
    }


def _model(backend: Backend, created: int) -> dict[str, Any]:
    return {
        "id": backend.name,
        "object": "model",
        "created": created,
        "owned_by": "mentor",
        "max_model_len": backend.engine.context_length,
    }
