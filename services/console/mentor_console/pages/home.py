"""Home: how the services are."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from mentor_console.context import Console
from mentor_console.front.gate import session_of


def router(console: Console) -> APIRouter:
    """The page's routes."""
    routes = APIRouter()

    @routes.get("/", response_class=HTMLResponse)
    async def home(request: Request) -> HTMLResponse:
        """What runs, and how the services are."""
        states = await console.upstream.states(session_of(request.scope).authorization)
        return console.renderer.respond(request, "home.html.j2", title="Home", states=states)

    return routes
