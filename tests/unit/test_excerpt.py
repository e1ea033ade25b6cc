"""What is repeated of a remote server's answer."""

from __future__ import annotations

import json

import httpx
import pytest

from mentor.errors import InfrastructureError, OverloadedError, UserError
from mentor.rpc.errors import from_http
from mentor.rpc.excerpt import MAX_CHARS, one_line

SENT = "key-that-was-sent-to-it"


def answer(status: int, content: str | bytes, kind: str = "application/json") -> httpx.Response:
    request = httpx.Request("POST", "http://model/v1/x", headers={"authorization": f"Bearer {SENT}"})
    return httpx.Response(status, content=content, headers={"content-type": kind}, request=request)


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        ("<html><body>internal page, password hunter2</body></html>", "text/html"),
        ('{"password": "hunter2", "instance": "i-1"}', "application/json"),
        ('["hunter2"]', "application/json"),
        ("[" * 20_000 + '"hunter2"', "application/json"),
        ('{"error": {"code": "hunter2"}}', "application/json"),
        ('{"detail": [{"input": "hunter2"}]}', "application/json"),
        (b"\xff\xfehunter2", "application/octet-stream"),
    ],
)
def test_a_body_that_is_no_error_object_is_described_and_not_repeated(content: str | bytes, kind: str) -> None:
    error = from_http(answer(500, content, kind))
    assert isinstance(error, InfrastructureError)
    assert str(error) == f"HTTP 500 ({kind}, {len(content)} bytes)"
    assert "hunter2" in error.detail or len(content) > 4000


@pytest.mark.parametrize(
    "body",
    [
        {"error": {"message": "This model's maximum context length is 1024 tokens."}},
        {"object": "error", "message": "This model's maximum context length is 1024 tokens."},
        {"detail": "This model's maximum context length is 1024 tokens."},
        {"error": "This model's maximum context length is 1024 tokens."},
    ],
)
def test_the_message_of_an_error_object_is_repeated(body: dict[str, object]) -> None:
    error = from_http(answer(400, json.dumps(body)))
    assert isinstance(error, UserError) and "maximum context length is 1024" in str(error)


def test_credentials_are_masked_in_messages_and_in_the_log() -> None:
    told = f"bad key {SENT}, Bearer abc.def, sk-proj-0123456789abcdef, Authorization: Basic dXNlcjpwYXNz"
    error = from_http(answer(401, json.dumps({"error": {"message": told, "field": SENT, "allowed": SENT}})))
    for text in (str(error), error.detail):
        for secret in (SENT, "abc.def", "0123456789abcdef", "dXNlcjpwYXNz"):
            assert secret not in text


def test_a_message_is_one_bounded_line() -> None:
    error = from_http(answer(400, json.dumps({"message": "first\nsecond\x1b[31m\x00" + "x" * 5000})))
    assert str(error).startswith("first second?[31m?x") and len(str(error)) <= MAX_CHARS
    assert one_line("a" * 20, limit=10) == "aaaaaaaaa…"


def test_a_server_cannot_make_us_wait_for_ever() -> None:
    for asked, waited in ((7, 7.0), (1e9, 1.0), ("soon", 1.0), (-1, 1.0)):
        body = {"error": {"message": "later", "retry_after": asked}}
        error = from_http(answer(429, json.dumps(body)))
        assert isinstance(error, OverloadedError) and error.retry_after == waited
