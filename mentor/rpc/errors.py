"""Typed errors over the wire: the same JSON body in an HTTP response and in gRPC trailing metadata, and back."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import grpc
import httpx

from mentor.errors import (
    ConflictError,
    ContentFilterError,
    ContextLengthError,
    DeadlineError,
    ForbiddenError,
    InfrastructureError,
    MentorError,
    ModelError,
    NotFoundError,
    OverloadedError,
    RequestRefusedError,
    UnauthenticatedError,
    UserError,
)
from mentor.rpc.excerpt import credentials_of, message_of, one_line, shape_of

BODY_KEY = "mentor-error-bin"
RETRY_AFTER_KEY = "retry-after"
_LOGGED_CHARS = 4000
_MAX_RETRY_AFTER_S = 3600.0

_BY_CODE: dict[str, type[MentorError]] = {
    cls.code: cls
    for cls in (
        ModelError,
        UserError,
        NotFoundError,
        ConflictError,
        UnauthenticatedError,
        ForbiddenError,
        InfrastructureError,
        DeadlineError,
        OverloadedError,
        RequestRefusedError,
        ContextLengthError,
        ContentFilterError,
    )
}
_BY_GRPC: dict[str, type[MentorError]] = {
    "INVALID_ARGUMENT": UserError,
    "OUT_OF_RANGE": UserError,
    "NOT_FOUND": NotFoundError,
    "FAILED_PRECONDITION": ConflictError,
    "ALREADY_EXISTS": ConflictError,
    "UNAUTHENTICATED": UnauthenticatedError,
    "PERMISSION_DENIED": ForbiddenError,
    "UNIMPLEMENTED": NotFoundError,
    "DEADLINE_EXCEEDED": DeadlineError,
    "RESOURCE_EXHAUSTED": OverloadedError,
}
_BY_HTTP: dict[int, type[MentorError]] = {
    401: UnauthenticatedError,
    403: ForbiddenError,
    404: NotFoundError,
    409: ConflictError,
    429: OverloadedError,
    504: DeadlineError,
}


def grpc_code(error: MentorError) -> grpc.StatusCode:
    """The status code of a typed error."""
    return grpc.StatusCode[error.grpc_status]


def grpc_trailers(error: MentorError) -> tuple[tuple[str, str | bytes], ...]:
    """Trailing metadata of a typed error: its JSON body, and when to try again."""
    trailers: list[tuple[str, str | bytes]] = [(BODY_KEY, json.dumps(error.to_body()).encode())]
    if isinstance(error, OverloadedError):
        trailers.append((RETRY_AFTER_KEY, f"{error.retry_after:g}"))
    return tuple(trailers)


def from_grpc(failure: grpc.aio.AioRpcError) -> MentorError:
    """The typed error that a failed call stands for; what carries no body of ours is told apart by its status."""
    trailers: Any = failure.trailing_metadata() or ()
    for key, value in trailers:
        if key == BODY_KEY and (body := _object(value)) is not None:
            return _from_body(body, InfrastructureError)
    details = failure.details() or failure.code().name
    if failure.code() is grpc.StatusCode.RESOURCE_EXHAUSTED and "larger than max" in details:
        return UserError(details, field="message size")
    return _build(_BY_GRPC.get(failure.code().name, InfrastructureError), details, {})


def from_http(response: httpx.Response) -> MentorError:
    """The typed error that a response of 4xx or 5xx stands for, with as much of its body as ``mentor.rpc.excerpt`` allows."""
    fallback = _BY_HTTP.get(response.status_code, UserError if response.status_code < 500 else InfrastructureError)
    body, hidden = _object(response.content), credentials_of(response)
    if body is not None and message_of(body) is not None:
        error = _from_body(body, fallback, hidden)
    else:
        error = _build(fallback, shape_of(response), {}, hidden)
    error.detail = one_line(response.text, hidden, _LOGGED_CHARS)
    return error


def _object(raw: bytes) -> dict[str, Any] | None:
    """A JSON object, or None for anything else that a server may send."""
    try:
        found = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _from_body(body: dict[str, Any], fallback: type[MentorError], hidden: Iterable[str] = ()) -> MentorError:
    error = body.get("error")
    fields: dict[str, Any] = error if isinstance(error, dict) else {}
    return _build(_BY_CODE.get(str(fields.get("code")), fallback), message_of(body) or "no message", fields, hidden)


def _build(cls: type[MentorError], message: str, fields: dict[str, Any], hidden: Iterable[str] = ()) -> MentorError:
    line = one_line(message, hidden)
    if issubclass(cls, OverloadedError):
        return cls(line, retry_after=_seconds(fields.get("retry_after")))
    if issubclass(cls, UserError):
        named = {name: one_line(str(fields[name]), hidden) for name in ("field", "allowed") if fields.get(name)}
        return cls(line, **named)
    return cls(line)


def _seconds(value: Any) -> float:
    return float(value) if isinstance(value, int | float) and 0 < value < _MAX_RETRY_AFTER_S else 1.0
