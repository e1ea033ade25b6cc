"""Server. The connection to one MCP server: made at start, looked after, made again when it breaks."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import structlog
from mcp import Client, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError
from mcp_types import CONNECTION_CLOSED, CallToolResult, Tool

from mentor.errors import InfrastructureError
from mentor_sandbox.settings import McpServer
from mentor_sandbox.supervise.processes.restarts import wait_s

log = structlog.get_logger("mcp")
_CONNECT_S = 30.0
_PING_PERIOD_S = 5.0
_RETRY_WAIT_S = (0.1, 0.5, 1.0, 5.0, 15.0)
_PAGES = 100
CONNECTION_FAULTS = (OSError, EOFError, httpx2.HTTPError)


class Connection:
    """``listed`` is called with the server's tools each time that it (re)connects."""

    def __init__(self, name: str, settings: McpServer, listed: Callable[[Sequence[Tool]], None]) -> None:
        self.name = name
        self.settings = settings
        self._listed = listed
        self._client: Client | None = None
        self._broken = asyncio.Event()
        self._settled = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.restarts = 0

    @property
    def up(self) -> bool:
        """Whether calls can be made."""
        return self._client is not None and not self._broken.is_set()

    async def start(self) -> None:
        """Connect in the background; returns when the first attempt has succeeded or failed."""
        self._task = asyncio.create_task(self._keep())
        await self._settled.wait()

    async def stop(self) -> None:
        """End the connection, and the process if it is one."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def call(self, tool: str, arguments: dict[str, Any]) -> CallToolResult:
        """One call.

        Raises:
            InfrastructureError: the server is down, or went away in the middle of the call.
            MCPError: it answered with an error of the protocol.
        """
        client = self._client
        if client is None or self._broken.is_set():
            raise InfrastructureError(f"the MCP server {self.name} is down")
        try:
            return await client.call_tool(tool, arguments)
        except MCPError as error:
            if error.code != CONNECTION_CLOSED:
                raise
            self._lost(client)
            raise InfrastructureError(f"the MCP server {self.name} went away: {error.message}") from None
        except CONNECTION_FAULTS as error:
            self._lost(client)
            raise InfrastructureError(f"the MCP server {self.name} went away: {type(error).__name__}") from None

    def _lost(self, client: Client) -> None:
        if client is self._client:
            self._broken.set()

    async def _keep(self) -> None:
        failures = 0
        while True:
            try:
                async with self._connected() as client:
                    failures = 0
                    await self._watch(client)
                log.warning("MCP server went away", server=self.name)
            except Exception as error:
                # A boundary: whatever the SDK or the server raises, it is tried again.
                log.warning("MCP server cannot be used", server=self.name, reason=_reason(error))
            finally:
                self._client = None
                self._settled.set()
            self.restarts += 1
            await asyncio.sleep(wait_s(failures, _RETRY_WAIT_S))
            failures += 1

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[Client]:
        async with contextlib.AsyncExitStack() as stack:
            async with asyncio.timeout(_CONNECT_S):
                client = await stack.enter_async_context(Client(await self._transport(stack)))
                tools = await _tools(client)
            self._broken.clear()
            self._client = client
            self._listed(tools)
            log.info("MCP server connected", server=self.name, tools=len(tools))
            self._settled.set()
            yield client

    async def _transport(self, stack: contextlib.AsyncExitStack) -> Any:
        given = self.settings
        if given.url is None:
            command, *arguments = given.command
            return StdioServerParameters(command=command, args=arguments, env=given.env, cwd=given.cwd)
        http = await stack.enter_async_context(httpx2.AsyncClient(headers=given.headers, trust_env=False, timeout=None))
        return streamable_http_client(given.url, http_client=http)

    async def _watch(self, client: Client) -> None:
        """Until the connection breaks. Asked now and then, for a server that dies idle says nothing."""
        while not self._broken.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_PING_PERIOD_S):
                    await self._broken.wait()
            if not self._broken.is_set():
                async with asyncio.timeout(_CONNECT_S):
                    await _tools(client)


async def _tools(client: Client) -> list[Tool]:
    found: list[Tool] = []
    cursor: str | None = None
    for _ in range(_PAGES):
        page = await client.list_tools(cursor=cursor, cache_mode="bypass")
        found += page.tools
        cursor = page.next_cursor
        if cursor is None:
            break
    return found


def _reason(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return f"{type(error).__name__}: {error}"[:300]
