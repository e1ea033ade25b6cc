"""What the sandbox offers beyond single calls: programs, sessions, an MCP endpoint. One object each, behind both transports."""

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
from mentor_sandbox.engine import Sandbox
from mentor_sandbox.mcp.server import McpEndpoint
from mentor_sandbox.programs import fusion
from mentor_sandbox.programs import rest as programs_rest
from mentor_sandbox.programs import rpc as programs_rpc
from mentor_sandbox.programs.runner import Programs
from mentor_sandbox.sessions import jupyter
from mentor_sandbox.sessions import rest as sessions_rest
from mentor_sandbox.sessions import rpc as sessions_rpc
from mentor_sandbox.sessions.manager import Sessions


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
