"""Refusals as real servers word them."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from mentor.errors import (
    ContentFilterError,
    ContextLengthError,
    InfrastructureError,
    NotFoundError,
    OverloadedError,
    RequestRefusedError,
    UnauthenticatedError,
)
from mentor.inference.faults import Fault
from mentor.inference.refusals import refusal

SERVERS: list[tuple[int, Any, type[Exception]]] = [
    # vLLM, two releases
    (400, {"message": "This model's maximum context length is 1024 tokens. However, you requested 8300"}, ContextLengthError),
    (
        400,
        {"message": "'max_tokens' or 'max_completion_tokens' is too large: 8192. This model's maximum context length"},
        ContextLengthError,
    ),
    # SGLang
    (400, {"message": "The input (4096 tokens) is longer than the model's context length (2048 tokens)."}, ContextLengthError),
    # OpenAI, Azure
    (400, {"message": "Please reduce the length", "code": "context_length_exceeded"}, ContextLengthError),
    (400, {"message": "filtered", "code": "content_filter"}, ContentFilterError),
    (400, {"message": "Azure OpenAI's content management policy"}, ContentFilterError),
    # text-generation-inference, llama.cpp, Anthropic's gateway
    (422, "`inputs` tokens + `max_new_tokens` must be <= 4096", ContextLengthError),
    (400, {"message": "it exceeds the context size", "type": "exceed_context_size_error"}, ContextLengthError),
    (413, {"message": "prompt is too long: 212345 tokens > 200000 maximum"}, ContextLengthError),
    # one request's own
    (400, {"message": "Conversation roles must alternate user/assistant"}, RequestRefusedError),
    (422, "messages.0.content: unsupported", RequestRefusedError),
    # not of one request
    (401, {"message": "Incorrect API key"}, UnauthenticatedError),
    (404, {"message": "The model `x` does not exist."}, NotFoundError),
    (429, {"message": "Rate limit reached"}, OverloadedError),
    (500, {"message": "maximum context length of the moon"}, InfrastructureError),
]  # fmt: skip


@pytest.mark.parametrize(("status", "error", "kind"), SERVERS)
def test_a_refusal_is_told_apart_by_what_it_concerns(status: int, error: Any, kind: type[Exception]) -> None:
    response = httpx.Response(status, json={"error": error, "object": "error"})
    found = refusal(response, served_before=False)
    assert type(found) is kind


def test_plain_text_and_html_are_read_too() -> None:
    text = httpx.Response(400, text="<html>input is too long for requested model</html>")
    assert type(refusal(text, served_before=True)) is ContextLengthError


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_server_that_has_served_before_has_changed(status: int) -> None:
    found = refusal(httpx.Response(status, json={"error": "no"}), served_before=True)
    assert isinstance(found, Fault) and found.fault == "refuses_now"
