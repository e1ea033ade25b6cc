"""Sign out."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse

from mentor_console.context import Console
from mentor_console.front.gate import SIGN_IN
from mentor_console.front.page_errors import telling
from mentor_console.front.sessions import COOKIE


def router(console: Console) -> APIRouter:
    """The route."""
    routes = APIRouter(route_class=telling(console.renderer))

    @routes.post("/sign-out")
    async def sign_out(request: Request) -> RedirectResponse:
        """Forget the session, and its key with it."""
        request.state.sessions.close(request.state.secret)
        answer = RedirectResponse(SIGN_IN if console.renderer.signed_in else "/", 303)
        answer.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict")
        return answer

    return routes
