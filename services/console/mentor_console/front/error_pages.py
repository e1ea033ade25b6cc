"""Errors that no page caught (an unknown address, a method that is not allowed) as pages, where a browser navigates."""

from __future__ import annotations

import json

from starlette.datastructures import Headers
from starlette.responses import HTMLResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mentor_console.front.gate import session_of
from mentor_console.rendering import Renderer

_TITLES = {401: "Sign in first", 403: "Not allowed", 404: "Not found"}


class ErrorPages:
    """ASGI middleware inside the gate: an error in JSON, and a fault of ours, becomes a page, if one was asked for."""

    def __init__(self, app: ASGIApp, renderer: Renderer) -> None:
        self.app, self.renderer = app, renderer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or "session" not in scope.get("state", {}) or not _navigates(scope):
            await self.app(scope, receive, send)
            return
        status, body, begun = 0, b"", False

        async def held(message: Message) -> None:
            nonlocal status, body, begun
            if message["type"] == "http.response.start":
                kind = Headers(raw=message["headers"]).get("content-type", "")
                if message["status"] >= 400 and kind.startswith("application/json"):
                    status = message["status"]
                    return
            elif status:
                body += message.get("body", b"")
                if not message.get("more_body"):
                    await self._page(scope, status, body)(scope, receive, send)
                return
            begun = True
            await send(message)

        try:
            await self.app(scope, receive, held)
        except Exception:
            if not begun:
                await self._page(scope, 500, b"")(scope, receive, send)
            raise  # whoever is outside logs it

    def _page(self, scope: Scope, status: int, body: bytes) -> HTMLResponse:
        try:
            error = json.loads(body)["error"]
            message, allowed = str(error["message"]), str(error.get("allowed") or "")
        except (ValueError, KeyError, TypeError):
            message, allowed = "the console failed", ""
        html = self.renderer.page(
            "error.html.j2", title=_TITLES.get(status, "That did not work"), message=message, allowed=allowed,
            path=scope["path"], csrf=session_of(scope).csrf,
        )  # fmt: skip
        return HTMLResponse(html, status)


def _navigates(scope: Scope) -> bool:
    return "text/html" in Headers(scope=scope).get("accept", "")
