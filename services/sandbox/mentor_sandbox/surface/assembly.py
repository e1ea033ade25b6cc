"""Server. What the sandbox offers beyond single calls: programs, sessions, an MCP endpoint. Both transports share it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import APIRouter
from prometheus_client import CollectorRegistry

from mentor.rpc.principal import Role
from mentor.rpc.v1.programs_pb2_grpc import add_ProgramServiceServicer_to_server
from mentor.rpc.v1.sessions_pb2_grpc import add_SessionServiceServicer_to_server
from mentor.serving import RpcBinding
from mentor_sandbox.supervise.engine import Sandbox
from mentor_sandbox.supervise.programs import Programs
from mentor_sandbox.supervise.sessions import Sessions
from mentor_sandbox.surface.mcp import McpEndpoint
from mentor_sandbox.surface.rest import fusion, jupyter
from mentor_sandbox.surface.rest import programs as programs_rest
from mentor_sandbox.surface.rest import sessions as sessions_rest
from mentor_sandbox.surface.rpc import programs as programs_rpc
from mentor_sandbox.surface.rpc import sessions as sessions_rpc


class Surface:
    """Routers, servicers and lifetime of everything that stands on a ``Sandbox``."""

    def __init__(self, sandbox: Sandbox, registry: CollectorRegistry) -> None:
        self._sandbox = sandbox
        self._settings = sandbox.settings
        self.programs = Programs(sandbox)
        self.sessions = Sessions(sandbox, registry)
        self.mcp = McpEndpoint(sandbox)

    def routers(self) -> tuple[APIRouter, ...]:
        """REST."""
        return (
            fusion.create_router(self.programs),
            programs_rest.create_router(self.programs),
            sessions_rest.create_router(self.sessions, self._settings.max_sessions),
            jupyter.create_router(self.sessions, self._settings),
            self.mcp.router(),
        )

    def rpcs(self) -> tuple[RpcBinding, ...]:
        """gRPC."""
        programs = programs_rpc.ProgramServicer(self.programs)
        sessions = sessions_rpc.SessionServicer(self.sessions, self._settings.max_sessions)
        return (
            RpcBinding(add_ProgramServiceServicer_to_server, programs, programs_rpc.FULL_NAME, Role.RUN),
            RpcBinding(add_SessionServiceServicer_to_server, sessions, sessions_rpc.FULL_NAME, Role.RUN),
        )

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """The sandbox, and the sessions in it."""
        async with self._sandbox.lifespan(), self.sessions.lifespan(), self.mcp.lifespan():
            yield

    def health(self) -> dict[str, Any]:
        """The sandbox's, and the number of sessions."""
        return self._sandbox.health() | {"sessions": self.sessions.count}
