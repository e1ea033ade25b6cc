"""The console as a service: pages behind the gate and the door."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import APIRouter, Depends
from fastapi.routing import APIRoute

from mentor.rpc.credentials import read_secret
from mentor.rpc.principal import Role
from mentor.serving import RestBinding, Service
from mentor.serving.access import Door
from mentor.serving.metrics import new_registry
from mentor.serving.vitals import Rounds
from mentor_console.context import Console
from mentor_console.front.error_pages import ErrorPages
from mentor_console.front.forms import require_token
from mentor_console.front.gate import Gate
from mentor_console.front.sessions import Sessions
from mentor_console.front.sign_in import outside
from mentor_console.index.gather import Gatherer
from mentor_console.index.reading import Reading
from mentor_console.pages import PAGES
from mentor_console.rendering import Renderer
from mentor_console.settings import ConsoleSettings
from mentor_console.upstream import Upstream

_PATIENCE_S = 3600.0
"""Of a round of the index: the first one may fetch and read gigabytes."""


def build(settings: ConsoleSettings) -> Service:
    """The service, ready to listen."""
    door = Door.of(settings)
    renderer = Renderer(signed_in=door.authenticates)
    upstream, registry = Upstream(settings), new_registry()
    index = Reading(settings, upstream, asked=door.authenticates)
    gatherer = Gatherer(settings, _own_key(settings, door), registry)
    console = Console(settings, upstream, renderer, index, gatherer)
    rounds = Rounds("gather", gatherer.round, every_s=settings.gather_s, patience_s=_PATIENCE_S)
    gate = {
        "outside": outside(door, renderer, settings.secure_cookie),
        "sessions": Sessions(settings.session_hours), "keys": door.authenticates, "hosts": settings.hosts,
        "secure": settings.secure_cookie,
    }  # fmt: skip

    @asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        rounds.start()
        try:
            yield
        finally:
            await asyncio.to_thread(rounds.stop)
            index.close()
            await console.upstream.close()

    bindings = [RestBinding(_guarded(page(console)), Role.SUBMIT) for page in PAGES]
    service = Service(
        "console", settings, routers=bindings, lifespan=lifespan, registry=registry,
        middleware=[(ErrorPages, {"renderer": renderer}), (Gate, gate)],
    )  # fmt: skip
    rounds.watched_by(service.vitals)
    return service


def _own_key(settings: ConsoleSettings, door: Door) -> str | None:
    """What the index gathers with by itself."""
    if settings.key_file is not None:
        return f"Bearer {read_secret(settings.key_file, 'key_file')}"
    return None if door.authenticates else ""


def _guarded(page: APIRouter) -> APIRouter:
    """A page's routes, changes of which ask for the session's token."""
    # Made anew: a dependency that is given to a router after its routes reaches none of them.
    guarded = APIRouter(dependencies=[Depends(require_token)])
    for route in page.routes:
        assert isinstance(route, APIRoute)
        guarded.add_api_route(
            route.path, route.endpoint, methods=list(route.methods), name=route.name, response_class=route.response_class,
            response_model=route.response_model, status_code=route.status_code, tags=route.tags,
            route_class_override=type(route),
        )  # fmt: skip
    return guarded
