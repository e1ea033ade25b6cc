"""Refusals as real servers word them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
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
from mentor.inference import faults
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


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    ("header", "least", "most"), [("7", 7, 7), ("0.5", 0.5, 0.5), ("99999", 3600, 3600), (None, 1, 30)]
)
def test_a_server_may_say_when_it_wants_to_be_asked_again(
    status: int, header: str | None, least: float, most: float
) -> None:
    when = header or format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    found = refusal(httpx.Response(status, text="busy", headers={"retry-after": when}), served_before=True)
    assert isinstance(found, OverloadedError) and least <= found.retry_after <= most


@pytest.mark.parametrize("header", ["soon", "-3", "Wed, 21 Oct 2015 07:28:00 GMT"])
def test_nonsense_and_the_past_say_nothing(header: str) -> None:
    found = refusal(httpx.Response(429, text="busy", headers={"retry-after": header}), served_before=True)
    assert isinstance(found, OverloadedError) and found.retry_after == 0.0


def test_every_fault_is_explained_in_the_docs() -> None:
    names = [value for name, value in vars(faults).items() if name.isupper() and isinstance(value, str)]
    text = (Path(__file__).parents[2] / "docs" / "generation.md").read_text()
    assert len(names) > 15 and [name for name in names if f"`{name}`" not in text] == []
