"""Clients of OpenAI-compatible servers (vLLM, SGLang, the local engine, any other): chat, and token ids in and out.

HTTP 200 is not trusted: servers silently drop what they do not know (number of choices, log-probabilities, token ids),
so every answer is checked for what was asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mentor.inference.base import ChatCompletion, Generation, SamplingParams
from mentor.inference.endpoint import Asked, Endpoint, OpenAIServer
from mentor.inference.reading import completion, generation

__all__ = ["Endpoint", "OpenAIChatClient", "OpenAIServer", "OpenAITokenClient"]


def _sampling(params: SamplingParams) -> dict[str, Any]:
    body: dict[str, Any] = {
        "temperature": params.temperature,
        "top_p": params.top_p,
        "max_tokens": params.max_tokens,
    }
    if params.seed is not None:
        body["seed"] = params.seed
    if params.top_k > 0:
        body["top_k"] = params.top_k
    return body


class OpenAIChatClient:
    """``ChatClient`` over /v1/chat/completions.

    ``template_kwargs`` go to the server as ``chat_template_kwargs`` (vLLM, SGLang, the local engine): switches of the
    model's chat template, such as ``enable_thinking``.
    """

    def __init__(self, server: Asked, template_kwargs: Mapping[str, Any] | None = None) -> None:
        self.server = server
        self.template_kwargs = dict(template_kwargs or {})

    async def chat(
        self,
        messages: list[dict[str, Any]],
        tools: list[dict[str, Any]],
        params: SamplingParams,
        *,
        request_id: str,
        timeout_s: float,
        fill_context: bool = False,
    ) -> ChatCompletion:
        body = _sampling(params) | {"messages": messages}
        if fill_context:
            del body["max_tokens"]
        if tools:
            body |= {"tools": tools, "tool_choice": "auto"}
        if self.template_kwargs:
            body["chat_template_kwargs"] = self.template_kwargs
        return await self.server.ask(
            "/v1/chat/completions", body, lambda reply, note: completion(reply, body, note),
            request_id=request_id, timeout_s=timeout_s,
        )  # fmt: skip


class OpenAITokenClient:
    """``TokenClient`` over /v1/completions with integer prompts and ``return_token_ids`` (vLLM, the local engine)."""

    def __init__(self, server: Asked) -> None:
        self.server = server

    async def generate(
        self, prompt_ids: list[int], params: SamplingParams, *, request_id: str, timeout_s: float
    ) -> Generation:
        body = _sampling(params) | {
            "prompt": prompt_ids,
            "logprobs": 0,
            "return_token_ids": True,
            "stop_token_ids": list(params.stop_token_ids),
            "skip_special_tokens": False,
        }
        return await self.server.ask(
            "/v1/completions", body, lambda reply, note: generation(reply, body, note),
            request_id=request_id, timeout_s=timeout_s,
        )  # fmt: skip
