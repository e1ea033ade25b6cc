"""POST /v1/chat/completions, streamed or not, with tool calls parsed."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import AsyncIterator
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse

from mentor.chat.formats import parse_turn
from mentor.chat.hermes import OPEN
from mentor.errors import MentorError, UserError
from mentor.inference.base import Generation, SamplingParams
from mentor.inference.local.backend import Backend, ClientGone, while_connected
from mentor.inference.local.openai_errors import OpenAIRoute, error_body
from mentor.inference.local.schemas import ChatRequest
from mentor.rpc.context import remaining
from mentor.trajectory import ToolCall

CLIENT_CLOSED = 499


def chat_router(backend: Backend) -> APIRouter:
    """The endpoint on a served model."""
    router = APIRouter(route_class=OpenAIRoute, tags=["openai"])

    @router.post("/v1/chat/completions", response_model=None)
    async def chat_completions(body: ChatRequest, request: Request) -> Response:
        """Answer a conversation."""
        backend.check_model(body.model)
        tools = (body.tools or []) if body.tool_choice != "none" else []
        prompt = backend.render(body.messages, tools, body.chat_template_kwargs)
        params = body.params(backend.budget(prompt, body.max_completion_tokens or body.max_tokens))
        if body.stream:
            if body.n != 1:
                raise UserError("n is more than 1 in a streamed request", field="n", allowed="1 with stream")
            return StreamingResponse(_stream(backend, body, prompt, params), media_type="text/event-stream")
        try:
            generations = await while_connected(request, backend.run(prompt, params, body.n))
        except ClientGone:
            return Response(status_code=CLIENT_CLOSED)
        return JSONResponse(_completion(backend, body, prompt, generations))

    return router


def _completion(
    backend: Backend, body: ChatRequest, prompt: list[int], generations: list[Generation]
) -> dict[str, Any]:
    choices = [_choice(backend, body, generation, index) for index, generation in enumerate(generations)]
    reply = _envelope(backend, "chat.completion") | {"choices": choices, "usage": usage(prompt, generations)}
    if body.return_token_ids:
        reply["prompt_token_ids"] = prompt
    return reply


def _choice(backend: Backend, body: ChatRequest, generation: Generation, index: int) -> dict[str, Any]:
    text = backend.decode(backend.spoken(generation), skip_special=body.skip_special_tokens)
    message, finish = read_message(text, generation.finish_reason, bool(body.tools) and body.tool_choice != "none")
    choice: dict[str, Any] = {"index": index, "message": message, "finish_reason": finish, "logprobs": None}
    if body.logprobs:
        choice["logprobs"] = {"content": logprob_content(backend, generation)}
    if body.return_token_ids:
        choice["token_ids"] = list(generation.token_ids)
    return choice


def read_message(text: str, finish_reason: str, with_tools: bool) -> tuple[dict[str, Any], str]:
    """The assistant's message and finish reason of a generated text.

    If any call in it is malformed the whole text is left as content, as vLLM's parser does: nothing the model wrote is
    lost, and the caller sees what was wrong.
    """
    turn = parse_turn(text)
    message: dict[str, Any] = {"role": "assistant", "content": turn.content}
    if turn.reasoning is not None:
        message["reasoning_content"] = turn.reasoning
    readable = with_tools and finish_reason == "stop" and all(call.error is None for call in turn.tool_calls)
    if turn.tool_calls and not readable:
        message["content"] = text
    elif turn.tool_calls:
        message["content"] = turn.content or None
        message["tool_calls"] = [_call(call) for call in turn.tool_calls]
        return message, "tool_calls"
    return message, finish_reason


def _call(call: ToolCall) -> dict[str, Any]:
    arguments = json.dumps(call.arguments, ensure_ascii=False)
    return {
        "id": f"call_{uuid.uuid4().hex[:24]}",
        "type": "function",
        "function": {"name": call.name, "arguments": arguments},
    }


def logprob_content(backend: Backend, generation: Generation) -> list[dict[str, Any]]:
    """Token by token, as the chat interface reports log-probabilities."""
    return [
        {"token": token, "logprob": logprob, "bytes": list(token.encode()), "top_logprobs": []}
        for token, logprob in zip(
            (backend.decode([i], skip_special=False) for i in generation.token_ids),
            generation.logprobs or (),
            strict=True,
        )
    ]


def usage(prompt: list[int], generations: list[Generation]) -> dict[str, int]:
    """Token counts of a request."""
    generated = sum(len(generation.token_ids) for generation in generations)
    return {"prompt_tokens": len(prompt), "completion_tokens": generated, "total_tokens": len(prompt) + generated}


def _envelope(backend: Backend, kind: str) -> dict[str, Any]:
    return {"id": f"chatcmpl-{uuid.uuid4().hex}", "object": kind, "created": int(time.time()), "model": backend.name}


async def _stream(backend: Backend, body: ChatRequest, prompt: list[int], params: SamplingParams) -> AsyncIterator[str]:
    """Server-sent events: text as it comes, calls whole at the end. Text that may begin a call is held back."""
    envelope = _envelope(backend, "chat.completion.chunk")

    def event(delta: dict[str, Any], finish: str | None = None) -> str:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        return f"data: {json.dumps(envelope | {'choices': [choice]})}\n\n"

    with_tools = bool(body.tools) and body.tool_choice != "none"
    ids: list[int] = []
    sent = 0
    try:
        yield event({"role": "assistant", "content": ""})
        async for item in backend.engine.stream(prompt, params, timeout_s=remaining(backend.timeout_s)):
            if not isinstance(item, Generation):
                if item[0] not in backend.engine.end_ids and item[0] not in params.stop_token_ids:
                    ids.append(item[0])
                text = backend.decode(ids, skip_special=body.skip_special_tokens)
                ready = sendable(text) if with_tools else text.removesuffix("\ufffd")
                if len(ready) > sent:
                    yield event({"content": ready[sent:]})
                    sent = len(ready)
                continue
            message, finish = read_message(text, item.finish_reason, with_tools)
            if message.get("tool_calls"):
                calls = [{"index": n, **call} for n, call in enumerate(message["tool_calls"])]
                yield event({"tool_calls": calls})
            elif len(text) > sent:
                yield event({"content": text[sent:]})
            yield event({}, finish)
            if body.stream_options and body.stream_options.include_usage:
                yield f"data: {json.dumps(envelope | {'choices': [], 'usage': usage(prompt, [item])})}\n\n"
    except MentorError as error:
        yield f"data: {json.dumps(error_body(error))}\n\n"
    yield "data: [DONE]\n\n"


def sendable(text: str) -> str:
    """The part of a growing text that can be sent: up to a call, or to what may become the tag that opens one."""
    if OPEN in text:
        return text[: text.index(OPEN)]
    held = next((size for size in range(len(OPEN) - 1, 0, -1) if text.endswith(OPEN[:size])), 0)
    return text[: len(text) - held].removesuffix("\ufffd")
