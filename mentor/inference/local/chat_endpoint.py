"""POST /v1/chat/completions, streamed or not, with tool calls parsed."""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncIterator
from typing import Any

from fastapi import APIRouter, Request, Response

from mentor.chat.formats import parse_turn
from mentor.chat.hermes import OPEN
from mentor.inference.base import Generation, SamplingParams
from mentor.inference.local.backend import Backend
from mentor.inference.local.openai_errors import OpenAIRoute
from mentor.inference.local.replies import envelope, event, growing_text, reply, streamed, usage
from mentor.inference.local.schemas import ChatRequest
from mentor.trajectory import ToolCall


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
            return streamed(_stream(backend, body, prompt, params), body.n)
        return await reply(
            request, backend.run(prompt, params, body.n), lambda done: _completion(backend, body, prompt, done)
        )

    return router


def _completion(
    backend: Backend, body: ChatRequest, prompt: list[int], generations: list[Generation]
) -> dict[str, Any]:
    choices = [_choice(backend, body, generation, index) for index, generation in enumerate(generations)]
    whole = envelope(backend, "chatcmpl", "chat.completion")
    whole |= {"choices": choices, "usage": usage(len(prompt), generations)}
    if body.return_token_ids:
        whole["prompt_token_ids"] = prompt
    return whole


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


async def _stream(backend: Backend, body: ChatRequest, prompt: list[int], params: SamplingParams) -> AsyncIterator[str]:
    """Text as it comes, calls whole at the end. Text that may begin a call is held back."""
    around = envelope(backend, "chatcmpl", "chat.completion.chunk")

    def chunk(delta: dict[str, Any], finish: str | None = None) -> str:
        return event(around | {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})

    with_tools = bool(body.tools) and body.tool_choice != "none"
    sent = 0
    yield chunk({"role": "assistant", "content": ""})
    async for text, item in growing_text(backend, prompt, params, skip_special=body.skip_special_tokens):
        if not isinstance(item, Generation):
            ready = sendable(text) if with_tools else text.removesuffix("\ufffd")
            if len(ready) > sent:
                yield chunk({"content": ready[sent:]})
                sent = len(ready)
            continue
        message, finish = read_message(text, item.finish_reason, with_tools)
        if message.get("tool_calls"):
            yield chunk({"tool_calls": [{"index": n, **call} for n, call in enumerate(message["tool_calls"])]})
        elif len(text) > sent:
            yield chunk({"content": text[sent:]})
        yield chunk({}, finish)
        if body.stream_options and body.stream_options.include_usage:
            yield event(around | {"choices": [], "usage": usage(len(prompt), [item])})


def sendable(text: str) -> str:
    """The part of a growing text that can be sent: up to a call, or to what may become the tag that opens one."""
    if OPEN in text:
        return text[: text.index(OPEN)]
    held = next((size for size in range(len(OPEN) - 1, 0, -1) if text.endswith(OPEN[:size])), 0)
    return text[: len(text) - held].removesuffix("\ufffd")
