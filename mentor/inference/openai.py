"""Clients of OpenAI-compatible servers (vLLM, SGLang, the local engine, any other): chat, and token ids in and out.

HTTP 200 is not trusted: servers silently drop what they do not know (number of choices, log-probabilities, token ids),
so every answer is checked for what was asked.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from mentor.errors import ContentFilterError, InfrastructureError, UserError
from mentor.inference.base import ChatCompletion, Generation, SamplingParams
from mentor.inference.refusals import refusal
from mentor.inference.transport import ModelTransport
from mentor.rpc.context import outgoing
from mentor.rpc.retry import RetryPolicy, with_retries
from mentor.trajectory import Frozen, ToolCall

_CONTEXT_FIELDS = ("max_model_len", "context_length", "context_window", "max_context_length")
"""Where vLLM and SGLang, OpenRouter, Groq, and Mistral say how much context a model has."""


class Endpoint(Frozen):
    """Where a model is served.

    ``url`` ends before ``/v1`` or with it. ``api_key`` goes out as a bearer token. ``attempts`` bounds the tries of one
    request: the waits between sixteen add up to about 40 s, which outlasts a restart of the server.
    """

    url: str
    model: str
    api_key: str | None = None
    attempts: int = 16

    @property
    def base(self) -> str:
        """The URL without ``/v1``."""
        return self.url.rstrip("/").removesuffix("/v1")


class OpenAIServer:
    """One server: posts JSON with retries and deadlines, and maps failures to typed errors.

    ``context_limit``: tokens that its model's context holds, as /v1/models tells after ``check``; None where it does not.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.context_limit: int | None = None
        self._served = False
        self._transport = ModelTransport(endpoint.base)

    async def post(self, path: str, body: dict[str, Any], *, request_id: str, timeout_s: float) -> dict[str, Any]:
        """POST and decode.

        Raises:
            InfrastructureError: unreachable, 5xx, overloaded, or too slow, after retries within ``timeout_s``.
            RequestRefusedError: the server refused this one request.
            UserError: it refuses the key or the model's name, and has not served a request before.
        """
        policy = RetryPolicy(attempts=self.endpoint.attempts, backoff_s=0.2, deadline_s=timeout_s)
        return await with_retries(lambda left: self._once(path, body, request_id, left), policy)

    async def _once(self, path: str, body: dict[str, Any], request_id: str, timeout_s: float) -> dict[str, Any]:
        extra = {"x-request-id": request_id}
        if self.endpoint.api_key:
            extra["authorization"] = f"Bearer {self.endpoint.api_key}"
        headers = outgoing(timeout_s, extra | {"content-type": "application/json"}, ours=False)
        encoded = json.dumps(body).encode()
        answer = await self._transport.send("POST", path, headers=headers, timeout_s=timeout_s, body=encoded)
        if answer.status >= 400:
            raise refusal(answer.as_response(), served_before=self._served)
        try:
            decoded = json.loads(answer.content)
        except ValueError as error:
            raise InfrastructureError(f"{self.endpoint.base}{path} answered with something that is not JSON") from error
        if not isinstance(decoded, dict):
            raise InfrastructureError(f"{self.endpoint.base}{path} answered with a {type(decoded).__name__}")
        self._served = True
        return decoded

    async def models(self, timeout_s: float = 60.0) -> dict[str, dict[str, Any]]:
        """What it tells of the models it serves, by id; raises as ``post`` does."""
        policy = RetryPolicy(attempts=self.endpoint.attempts, backoff_s=0.2, deadline_s=timeout_s)
        return await with_retries(self._models, policy)

    async def _models(self, timeout_s: float) -> dict[str, dict[str, Any]]:
        headers = {"authorization": f"Bearer {self.endpoint.api_key}"} if self.endpoint.api_key else {}
        answer = await self._transport.send("GET", "/v1/models", headers=headers, timeout_s=min(10.0, timeout_s))
        if answer.status >= 400:
            raise refusal(answer.as_response(), served_before=self._served)
        return _by_id(answer.content, self.endpoint.base)

    async def check(self) -> None:
        """Refuse a model that the server does not know; learn how much context it has.

        Raises:
            UserError: the model is not served there.
            InfrastructureError: the server cannot be reached.
        """
        known = await self.models()
        if self.endpoint.model not in known:
            raise UserError(
                f"{self.endpoint.base} does not serve {self.endpoint.model!r}", field="model", allowed=", ".join(known)
            )
        entry = known[self.endpoint.model]
        limits = (entry.get(name) for name in _CONTEXT_FIELDS)
        self.context_limit = next((n for n in limits if isinstance(n, int) and not isinstance(n, bool) and n > 0), None)

    async def close(self) -> None:
        """Close this loop's connections."""
        await self._transport.close()


def _by_id(content: bytes, base: str) -> dict[str, dict[str, Any]]:
    try:
        return {str(entry["id"]): entry for entry in json.loads(content)["data"]}
    except (ValueError, KeyError, TypeError) as error:
        raise InfrastructureError(f"{base}/v1/models does not answer with a list of models") from error


def _sampling(endpoint: Endpoint, params: SamplingParams) -> dict[str, Any]:
    body: dict[str, Any] = {
        "model": endpoint.model,
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

    def __init__(self, server: OpenAIServer, template_kwargs: Mapping[str, Any] | None = None) -> None:
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
        body = _sampling(self.server.endpoint, params) | {"messages": messages}
        if fill_context:
            del body["max_tokens"]
        if tools:
            body |= {"tools": tools, "tool_choice": "auto"}
        if self.template_kwargs:
            body["chat_template_kwargs"] = self.template_kwargs
        reply = await self.server.post("/v1/chat/completions", body, request_id=request_id, timeout_s=timeout_s)
        choice = _only_choice(reply)
        usage = reply.get("usage") or {}
        message = choice.get("message") or {}
        calls = tuple(_parse_call(call, n) for n, call in enumerate(message.get("tool_calls") or ()))
        finish = choice.get("finish_reason") or "stop"
        return ChatCompletion(
            content=message.get("content") or "",
            tool_calls=calls,
            reasoning=message.get("reasoning_content") or message.get("reasoning"),
            finish_reason="length" if finish == "length" else "stop",
            prompt_tokens=usage.get("prompt_tokens"),
            completion_tokens=usage.get("completion_tokens"),
        )


class OpenAITokenClient:
    """``TokenClient`` over /v1/completions with integer prompts and ``return_token_ids`` (vLLM, the local engine)."""

    def __init__(self, server: OpenAIServer) -> None:
        self.server = server

    async def generate(
        self, prompt_ids: list[int], params: SamplingParams, *, request_id: str, timeout_s: float
    ) -> Generation:
        body = _sampling(self.server.endpoint, params) | {
            "prompt": prompt_ids,
            "logprobs": 0,
            "return_token_ids": True,
            "stop_token_ids": list(params.stop_token_ids),
            "skip_special_tokens": False,
        }
        reply = await self.server.post("/v1/completions", body, request_id=request_id, timeout_s=timeout_s)
        choice = _only_choice(reply)
        ids = choice.get("token_ids")
        if ids is None:
            raise UserError(
                f"{self.server.endpoint.base} returns no token ids",
                field="mode",
                allowed="mode: chat, or a server with return_token_ids (vLLM, SGLang, the local engine)",
            )
        logprobs = (choice.get("logprobs") or {}).get("token_logprobs")
        if logprobs is not None and len(logprobs) != len(ids):
            raise InfrastructureError(
                f"{self.server.endpoint.base} sent {len(logprobs)} log-probs for {len(ids)} tokens"
            )
        finish = "length" if choice.get("finish_reason") == "length" else "stop"
        return Generation(
            token_ids=tuple(ids),
            logprobs=None if logprobs is None else tuple(logprobs),
            finish_reason=finish,
            text=choice.get("text"),
        )


def _only_choice(reply: dict[str, Any]) -> dict[str, Any]:
    choices = reply.get("choices")
    if not isinstance(choices, list) or len(choices) != 1 or not isinstance(choices[0], dict):
        count = len(choices) if isinstance(choices, list) else "no"
        raise InfrastructureError(f"the model server answered with {count} choices where 1 was asked for")
    if choices[0].get("finish_reason") == "content_filter":
        raise ContentFilterError("the model server's content filter stopped the answer")
    return choices[0]


def _parse_call(call: dict[str, Any], index: int) -> ToolCall:
    function = call.get("function") or {}
    name, raw = str(function.get("name") or ""), function.get("arguments")
    call_id = str(call.get("id") or f"call_{index}")
    text = raw if isinstance(raw, str) else json.dumps(raw)
    try:
        arguments = json.loads(text or "{}")
    except json.JSONDecodeError as error:
        return ToolCall(name=name, id=call_id, raw=text, error=f"malformed_call: arguments are not JSON: {error.msg}")
    if not isinstance(arguments, dict):
        return ToolCall(name=name, id=call_id, raw=text, error="malformed_call: arguments must be an object")
    return ToolCall(name=name, arguments=arguments, id=call_id, raw=text)
