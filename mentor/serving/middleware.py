"""ASGI middleware: request identity with metrics and log line, the door, size limit. Plain ASGI, for speed."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Any

import structlog
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mentor.errors import MentorError, OverloadedError, UnauthenticatedError
from mentor.rpc.context import (
    REQUEST_ID_HEADER,
    TIMEOUT_HEADER,
    accept_request_id,
    deadline,
    deadline_from_header,
    request_id,
)
from mentor.rpc.principal import ANYONE, caller
from mentor.rpc.tracing import server_span
from mentor.serving.access import Door, RoleTable
from mentor.serving.metrics import RequestMetrics

OPEN_PATHS = frozenset({"/health", "/ready", "/metrics"})
log = structlog.get_logger("http")


def headers_of(scope: Scope) -> dict[str, str]:
    """Request headers by lower-case name; the last of several wins."""
    return {key.decode("latin-1").lower(): value.decode("latin-1") for key, value in scope["headers"]}


async def _refuse(send: Send, status: int, code: str, message: str) -> None:
    error = {"code": code, "message": message, "field": None, "allowed": None}
    await _answer(send, status, {"error": error, "detail": message})


async def _refuse_typed(send: Send, error: MentorError) -> None:
    extra = {}
    if isinstance(error, OverloadedError):
        extra["retry-after"] = str(max(1, round(error.retry_after)))
    if isinstance(error, UnauthenticatedError):
        extra["www-authenticate"] = "Bearer"
    await _answer(send, error.http_status, error.to_body(), extra)


async def _answer(send: Send, status: int, content: Any, extra: Mapping[str, str] | None = None) -> None:
    body = json.dumps(content).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    headers += [(name.encode(), value.encode()) for name, value in (extra or {}).items()]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


class RequestMiddleware:
    """Outermost: gives the request its id and deadline, counts it, logs it, and turns a bug into a plain 500."""

    def __init__(self, app: ASGIApp, metrics: RequestMetrics, access_log: bool = True) -> None:
        self.app = app
        self.metrics = metrics
        self.access_log = access_log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = headers_of(scope)
        identity = accept_request_id(headers.get(REQUEST_ID_HEADER))
        request_id.set(identity)
        caller.set(ANYONE)
        deadline.set(deadline_from_header(headers.get(TIMEOUT_HEADER)))
        status = 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (REQUEST_ID_HEADER.encode(), identity.encode())]
            await send(message)

        trace = ""
        started = time.perf_counter()
        self.metrics.in_flight.labels("http").inc()
        try:
            with server_span(f"{scope['method']} {scope['path']}", headers) as trace:
                await self.app(scope, receive, send_with_id)
        except Exception:
            log.exception("unhandled error", path=scope["path"])
            if status:
                raise
            await _refuse(send_with_id, 500, "internal", f"internal error (request id {identity})")
        finally:
            self.metrics.in_flight.labels("http").dec()
            self._record(scope, status, time.perf_counter() - started, trace)

    def _record(self, scope: Scope, status: int, seconds: float, trace: str) -> None:
        route = getattr(scope.get("route"), "path", "unmatched")
        self.metrics.http.labels(scope["method"], route, str(status)).inc()
        self.metrics.http_seconds.labels(scope["method"], route).observe(
            seconds, {"trace_id": trace} if trace else None
        )
        if self.access_log and route not in OPEN_PATHS:
            milliseconds = round(seconds * 1000, 2)
            log.info(
                "request", method=scope["method"], route=route, status=status, ms=milliseconds, caller=caller.get().name
            )


class DoorMiddleware:
    """Authentication, roles and limits per caller, everywhere but on the operations routes."""

    def __init__(self, app: ASGIApp, door: Door, roles: RoleTable) -> None:
        self.app = app
        self.door = door
        self.roles = roles

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in OPEN_PATHS:
            await self.app(scope, receive, send)
            return
        peer = scope["client"][0] if scope.get("client") else "local"
        async with AsyncExitStack() as stack:
            try:
                authorization = headers_of(scope).get("authorization", "")
                role = self.roles.needed(scope["path"])
                await stack.enter_async_context(self.door.admit(authorization, peer, role))
            except MentorError as error:
                await _refuse_typed(send, error)
                return
            await self.app(scope, receive, send)


class SizeLimitMiddleware:
    """Refuses a request body above ``limit`` bytes with 413, whether or not its length was announced.

    ``larger`` names the paths that may take more.
    """

    def __init__(self, app: ASGIApp, limit: int, larger: Mapping[str, int] | None = None) -> None:
        self.app = app
        self.limit = limit
        self.larger = dict(larger or {})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        limit = self.larger.get(scope["path"], self.limit)
        message = f"the request body exceeds {limit} bytes"
        announced = headers_of(scope).get("content-length", "0")
        if announced.isdecimal() and int(announced) > limit:
            await _refuse(send, 413, "too_large", message)
            return
        seen = 0

        async def counted() -> Message:
            nonlocal seen
            part = await receive()
            seen += len(part.get("body", b""))
            if seen > limit:
                raise HTTPException(413, message)
            return part

        await self.app(scope, counted, send)
