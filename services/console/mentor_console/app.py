"""The console as a service: pages behind the gate and the door."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import APIRouter, Depends

from mentor.rpc.principal import Role
from mentor.serving import RestBinding, Service
from mentor.serving.access import Door
from mentor_console.context import Console
from mentor_console.front.forms import require_token
from mentor_console.front.gate import Gate
from mentor_console.front.sessions import Sessions
from mentor_console.front.sign_in import outside
from mentor_console.pages import PAGES
from mentor_console.rendering import Renderer
from mentor_console.settings import ConsoleSettings
from mentor_console.upstream import Upstream


def build(settings: ConsoleSettings) -> Service:
    """The service, ready to listen."""
    door = Door.of(settings)
    renderer = Renderer(signed_in=door.authenticates)
    console = Console(settings, Upstream(settings), renderer)
    gate = {
        "outside": outside(door, renderer, settings.secure_cookie),
        "sessions": Sessions(settings.session_hours), "keys": door.authenticates, "hosts": settings.hosts,
        "secure": settings.secure_cookie,
    }  # fmt: skip

    @asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        try:
            yield
        finally:
            await console.upstream.close()

    bindings = [RestBinding(_guarded(page(console)), Role.SUBMIT) for page in PAGES]
    return Service("console", settings, routers=bindings, lifespan=lifespan, middleware=[(Gate, gate)])


def _guarded(page: APIRouter) -> APIRouter:
    """A page's routes, changes of which ask for the session's token."""
    page.dependencies.append(Depends(require_token))
    return page
