"""Server. The sandbox as an MCP server: its registered tools over streamable HTTP at ``/mcp``, or over standard streams."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import APIRouter
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.server.transport_security import TransportSecuritySettings
from mcp.shared.exceptions import MCPError
from mcp_types import (
    INTERNAL_ERROR,
    CallToolRequestParams,
    CallToolResult,
    ListToolsResult,
    TextContent,
    Tool,
)
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from mentor import __version__
from mentor.errors import InfrastructureError, UserError
from mentor_sandbox.results import Call, CallResult, Status
from mentor_sandbox.supervise.engine import Sandbox

PATH = "/mcp"
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def create_server(sandbox: Sandbox) -> Server[Any]:
    """An MCP server whose calls are the sandbox's."""

    async def list_tools(context: Any, params: Any) -> ListToolsResult:
        return ListToolsResult(
            tools=[
                Tool(name=tool.spec.name, description=tool.spec.description, input_schema=tool.spec.parameters)
                for tool in sandbox.tools.listed()
            ]
        )

    async def call_tool(context: Any, params: CallToolRequestParams) -> CallToolResult:
        try:
            return as_mcp(await sandbox.call(Call(tool=params.name, arguments=dict(params.arguments or {}))))
        except (InfrastructureError, UserError) as error:
            raise MCPError(INTERNAL_ERROR, f"{error.code}: {error.message}") from None

    return Server("mentor-sandbox", version=__version__, on_list_tools=list_tools, on_call_tool=call_tool)


def as_mcp(result: CallResult) -> CallToolResult:
    """A result as MCP has it: text for models (strings raw, other values as JSON), and the value itself beside it."""
    if result.status is not Status.OK or result.value_json is None:
        failure = {"status": result.status.value, "error_type": result.error_type}
        text = TextContent(type="text", text=result.error or result.status.value)
        return CallToolResult(content=[text], structured_content=failure, is_error=True)
    value = json.loads(result.value_json)
    shown = value if isinstance(value, str) else result.value_json
    text = TextContent(type="text", text=shown.encode("utf-8", "backslashreplace").decode("utf-8"))
    return CallToolResult(content=[text], structured_content={"result": _sendable(value)})


def _sendable(value: Any) -> Any:
    """The value without lone surrogates, which the SDK's transport cannot send."""
    text = json.dumps(value, ensure_ascii=False)
    return json.loads(text.encode("utf-8", "backslashreplace").decode("utf-8"))


class McpEndpoint:
    """The ASGI end of it, and its lifetime."""

    def __init__(self, sandbox: Sandbox) -> None:
        settings = sandbox.settings
        local = settings.host in _LOOPBACK
        # A page in a browser can send requests to a loopback address under another name; elsewhere the key protects.
        security = TransportSecuritySettings(
            enable_dns_rebinding_protection=local,
            allowed_hosts=["127.0.0.1:*", "localhost:*", "[::1]:*"],
            allowed_origins=["http://127.0.0.1:*", "http://localhost:*", "http://[::1]:*"],
        )
        self._manager = StreamableHTTPSessionManager(
            create_server(sandbox),
            json_response=True,
            stateless=True,
            security_settings=security,
            max_request_body_size=settings.max_request_bytes,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        await self._manager.asgi_app(scope, receive, send)

    def router(self) -> APIRouter:
        """``/mcp``."""
        router = APIRouter()
        router.routes.append(Route(PATH, endpoint=self, methods=["GET", "POST", "DELETE"]))
        return router

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """While requests may come. The SDK's task group lives in a task of its own: it must end where it began."""
        started, over = asyncio.Event(), asyncio.Event()

        async def keep() -> None:
            async with self._manager.run():
                started.set()
                await over.wait()

        task = asyncio.create_task(keep())
        try:
            await started.wait()
            yield
        finally:
            over.set()
            await task


async def serve_stdio(sandbox: Sandbox) -> None:
    """Serve one client over standard input and output until it goes away."""
    server = create_server(sandbox)
    async with sandbox.lifespan(), stdio_server() as (read, write):
        await server.run(read, write, server.create_initialization_options())
