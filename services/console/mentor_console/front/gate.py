"""The outermost layer of the console: hosts, origins, headers, static files, sign-in, and the browser's key.

A page is only ever reached with a session. Where the console has keys, a session holds the caller's, and the door of
``mentor.serving.access`` sees it as it would see any client's; where it has none, everyone on loopback has a session.
"""

from __future__ import annotations

from collections.abc import Mapping
from http.cookies import SimpleCookie
from typing import Any

from starlette.datastructures import MutableHeaders
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mentor.serving.middleware import OPEN_PATHS, headers_of
from mentor_console.front.sessions import COOKIE, Session, Sessions

SIGN_IN = "/sign-in"
_SAFE = frozenset({"GET", "HEAD"})
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "[::1]"})
HEADERS = {
    # Nothing inline, nothing from elsewhere: what a model or a tool wrote cannot become script, style, frame or request.
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; "
        "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


class Gate:
    """ASGI middleware.

    Args:
        outside: serves what needs no session: the sign-in page and static files.
        keys: whether callers have keys; without, every browser gets a session.
        hosts: names beside loopback under which the console is reached; ``*`` allows any.
        secure: whether the cookie is for TLS alone.
    """

    def __init__(
        self, app: ASGIApp, outside: ASGIApp, sessions: Sessions, keys: bool, hosts: tuple[str, ...], secure: bool
    ) -> None:
        self.app, self.outside, self.sessions, self.keys, self.secure = app, outside, sessions, keys, secure
        self.hosts = frozenset(hosts) | _LOOPBACK

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in OPEN_PATHS:
            await self.app(scope, receive, send)
            return
        headers = headers_of(scope)
        if (reason := self._foreign(scope, headers)) is not None:
            await self._respond(PlainTextResponse(reason, 403), scope, receive, send)
            return
        if scope["path"] == SIGN_IN or scope["path"].startswith("/static/"):
            scope.setdefault("state", {})["sessions"] = self.sessions
            await self._guarded(self.outside, scope, receive, send, None)
            return
        secret = cookie_of(headers)
        session, fresh = self.sessions.get(secret), None
        if session is None and not self.keys:
            fresh, session = self.sessions.open()
        if session is None:
            await self._respond(self._sign_in(scope), scope, receive, send)
            return
        if session.authorization:
            kept = [(name, value) for name, value in scope["headers"] if name != b"authorization"]
            scope["headers"] = [*kept, (b"authorization", session.authorization.encode())]
        scope.setdefault("state", {}).update(session=session, secret=fresh or secret, sessions=self.sessions)
        await self._guarded(self.app, scope, receive, send, fresh)

    def _foreign(self, scope: Scope, headers: Mapping[str, str]) -> str | None:
        """Why a request is not one of a page of ours; None if it may be."""
        host = headers.get("host", "")
        if "*" not in self.hosts and host.rsplit(":", 1)[0] not in self.hosts and host not in self.hosts:
            return "this host is not one under which the console is reached (MENTOR_CONSOLE_HOSTS)"
        if scope["method"] in _SAFE:
            return None
        origin = headers.get("origin")
        if origin is not None and origin.split("://", 1)[-1] != host:
            return "a request from another site"
        return "a request from another site" if headers.get("sec-fetch-site", "same-origin") != "same-origin" else None

    def _sign_in(self, scope: Scope) -> Response:
        if scope["method"] not in _SAFE or scope["path"].startswith("/api/"):
            return PlainTextResponse("sign in first", 401)
        return RedirectResponse(SIGN_IN, 303)

    async def _respond(self, response: Response, scope: Scope, receive: Receive, send: Send) -> None:
        await self._guarded(response, scope, receive, send, None)

    async def _guarded(self, app: Any, scope: Scope, receive: Receive, send: Send, fresh: str | None) -> None:
        """The inner answer with the headers that keep a browser from doing more with it than show it."""

        async def sealed(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                if not scope["path"].startswith("/static/"):
                    headers.setdefault("cache-control", "no-store")
                if fresh is not None:
                    headers.append("set-cookie", cookie(fresh, self.secure))
            await send(message)

        await app(scope, receive, sealed)


def cookie(secret: str, secure: bool) -> str:
    """The header that gives a browser its session."""
    return f"{COOKIE}={secret}; Path=/; HttpOnly; SameSite=Strict" + ("; Secure" if secure else "")


def cookie_of(headers: Mapping[str, str]) -> str:
    """The session's secret in a request; "" where there is none."""
    jar: SimpleCookie = SimpleCookie()
    try:
        jar.load(headers.get("cookie", ""))
    except Exception:  # a header of anybody's making
        return ""
    return jar[COOKIE].value if COOKIE in jar else ""


def session_of(scope: Scope) -> Session:
    """The session that the gate found."""
    session: Session = scope["state"]["session"]
    return session
