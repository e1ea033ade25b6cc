"""The sign-in page and static files: what is reached without a session."""

from __future__ import annotations

import mimetypes
from importlib import resources
from urllib.parse import parse_qs

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from mentor.errors import MentorError
from mentor.serving.access import Door
from mentor_console.front.gate import SIGN_IN, cookie
from mentor_console.front.sessions import Sessions
from mentor_console.rendering import Renderer

mimetypes.add_type("text/javascript", ".js")


def outside(door: Door, renderer: Renderer, secure: bool) -> Starlette:
    """The application of the gate's outer side."""

    async def form(request: Request) -> Response:
        return Response(renderer.page("sign_in.html.j2", title="Sign in", error=""), media_type="text/html")

    async def enter(request: Request) -> Response:
        values = parse_qs((await request.body())[:65_536].decode("utf-8", "replace"))
        key = (values.get("key") or [""])[0].strip()
        authorization = f"Bearer {key}"
        peer = request.client.host if request.client else "local"
        try:
            if not key or not key.isascii():
                raise MentorError("a key is needed")
            async with door.admit(authorization, peer):
                pass
        except MentorError as error:
            page = renderer.page("sign_in.html.j2", title="Sign in", error=error.message)
            return Response(page, error.http_status if error.http_status != 500 else 401, media_type="text/html")
        sessions: Sessions = request.state.sessions
        secret, _ = sessions.open(authorization)
        answer = RedirectResponse("/", 303)
        answer.headers.append("set-cookie", cookie(secret, secure))
        return answer

    static = StaticFiles(directory=str(resources.files("mentor_console") / "static"))
    return Starlette(
        routes=[
            Route(SIGN_IN, form, methods=["GET"]),
            Route(SIGN_IN, enter, methods=["POST"]),
            Mount("/static", static),
        ]
    )
