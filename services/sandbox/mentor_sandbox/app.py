"""Server. Puts the sandbox together."""

from __future__ import annotations

import uvloop
from prometheus_client import CollectorRegistry

from mentor.rpc.principal import Role
from mentor.rpc.v1.sandbox_pb2_grpc import add_SandboxServiceServicer_to_server
from mentor.serving import RestBinding, RpcBinding, Service
from mentor.serving.metrics import new_registry
from mentor.tools import MATH_TOOLS
from mentor.tools.source import load_tools
from mentor_sandbox.settings import SandboxSettings
from mentor_sandbox.supervise.engine import Sandbox
from mentor_sandbox.surface.assembly import Surface
from mentor_sandbox.surface.rest.calls import create_router
from mentor_sandbox.surface.rpc.calls import FULL_NAME, SandboxServicer


def build(settings: SandboxSettings) -> Service:
    """The service, not yet started.

    Raises:
        UserError: ``tools_path`` cannot be used.
    """
    registry = new_registry()
    sandbox = sandbox_of(settings, registry)
    surface = Surface(sandbox, registry)
    return Service(
        name="sandbox",
        settings=settings,
        routers=[RestBinding(router, Role.RUN) for router in (create_router(sandbox), *surface.routers())],
        rpcs=(
            RpcBinding(add_SandboxServiceServicer_to_server, SandboxServicer(sandbox), FULL_NAME, Role.RUN),
            *surface.rpcs(),
        ),
        lifespan=surface.lifespan,
        checks={"sandbox": sandbox.ready},
        health=surface.health,
        registry=registry,
        loop_factory=uvloop.new_event_loop,
    )


def sandbox_of(settings: SandboxSettings, registry: CollectorRegistry) -> Sandbox:
    """The sandbox with the built-in tools and the operator's.

    Raises:
        UserError: ``tools_path`` cannot be used.
    """
    extra = load_tools(settings.tools_path) if settings.tools_path else []
    return Sandbox(settings, (*MATH_TOOLS, *extra), registry)
