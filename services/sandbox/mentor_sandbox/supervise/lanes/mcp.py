"""Server. The lane of tools that MCP servers offer: registered under ``SERVER__TOOL`` and called like any other."""

from __future__ import annotations

import asyncio
import base64
import re
import time
from collections.abc import Mapping, Sequence
from typing import Any

import structlog
from mcp.shared.exceptions import MCPError
from mcp_types import CallToolResult, ImageContent, TextContent, Tool

from mentor.errors import DeadlineError, InfrastructureError, MentorError, OverloadedError, UserError
from mentor.tools.spec import ToolSpec
from mentor_sandbox.results import CallResult, Status
from mentor_sandbox.settings import MIB, McpServer, SandboxSettings
from mentor_sandbox.supervise.lanes.items import Item, timed
from mentor_sandbox.supervise.lanes.mcp_connection import Connection
from mentor_sandbox.supervise.limits import late
from mentor_sandbox.supervise.registry import Registry
from mentor_sandbox.wire.values import encode

log = structlog.get_logger("mcp")
SEPARATOR = "__"
_MAX_NAME = 64
_MAX_MESSAGE = 2000
_INVALID = (-32602, -32601)
"""JSON-RPC's codes for parameters that do not fit and a method (here: a tool) that does not exist."""


class McpLane:
    """All MCP servers of one sandbox."""

    def __init__(self, settings: SandboxSettings, registry: Registry) -> None:
        self._settings = settings
        self._registry = registry
        self._servers = {name: _Server(name, given, self) for name, given in settings.mcp_servers.items()}
        self._owners: dict[str, tuple[_Server, str]] = {}
        self._tasks: dict[Item, asyncio.Task[None]] = {}

    async def start(self) -> None:
        """Connect to every server. One that is down does not keep the others: its tools come when it does."""
        await asyncio.gather(*(server.connection.start() for server in self._servers.values()))

    async def stop(self) -> None:
        """End calls and connections."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        await asyncio.gather(*(server.connection.stop() for server in self._servers.values()))

    @property
    def waiting(self) -> int:
        """Calls that have not begun."""
        return sum(server.waiting for server in self._servers.values())

    @property
    def running(self) -> int:
        """Calls that have."""
        return len(self._tasks) - self.waiting

    def states(self) -> dict[str, str]:
        """Every server, for ``/health``."""
        return {name: "up" if server.connection.up else "down" for name, server in self._servers.items()}

    def admit(self, items: Sequence[Item]) -> None:
        """Raises OverloadedError if a server's queue has no room for its items."""
        for server in self._servers.values():
            mine = sum(self._owner(item)[0] is server for item in items)
            if mine and server.waiting + mine > server.settings.max_queue + server.free:
                raise OverloadedError(f"the queue of the MCP server {server.connection.name} is full", retry_after=1.0)

    def submit(self, items: Sequence[Item]) -> None:
        """Take calls; each is answered through its ``done``."""
        for item in items:
            self._tasks[item] = asyncio.get_running_loop().create_task(self._run(item))

    def cancel(self, item: Item) -> None:
        """Nobody wants the result."""
        if (task := self._tasks.get(item)) is not None:
            task.cancel()

    def listed(self, server: _Server, tools: Sequence[Tool]) -> None:
        """A server has said which tools it has now."""
        wanted = server.settings.tools
        for name in [name for name, (owner, _) in self._owners.items() if owner is server]:
            self._registry.remove(name)
            del self._owners[name]
        for tool in tools:
            if wanted is not None and tool.name not in wanted:
                continue
            spec = _spec(server.connection.name, tool, server.settings.timeout_s)
            try:
                self._registry.add(spec)
            except UserError as error:
                log.warning("MCP tool left out", server=server.connection.name, tool=tool.name, reason=str(error))
            else:
                self._owners[spec.name] = server, tool.name

    def _owner(self, item: Item) -> tuple[_Server, str]:
        assert item.tool is not None
        found = self._owners.get(item.tool.spec.name)
        if found is None:
            raise InfrastructureError(f"the MCP server of {item.tool.spec.name} no longer has it")
        return found

    async def _run(self, item: Item) -> None:
        answer: CallResult | Exception
        try:
            answer = await self._execute(item)
        except MentorError as error:
            answer = error
        except asyncio.CancelledError:
            answer = InfrastructureError("the call was cancelled")
        finally:
            del self._tasks[item]
        item.done(item, timed(answer, time.monotonic() - item.admitted) if isinstance(answer, CallResult) else answer)

    async def _execute(self, item: Item) -> CallResult:
        server, tool = self._owner(item)
        server.waiting += 1
        try:
            async with asyncio.timeout(max(0.0, item.expires - time.monotonic())):
                await server.slots.acquire()
        except TimeoutError:
            raise DeadlineError("the call's deadline passed while it waited for the MCP server") from None
        finally:
            server.waiting -= 1
        server.running += 1
        try:
            async with asyncio.timeout(item.timeout_s):
                answer = await server.connection.call(tool, item.arguments)
        except TimeoutError:
            status, _, kind, message = late(item.timeout_s)
            return CallResult(status, error_type=kind, error_message=message)
        except MCPError as error:
            return _refused(error)
        finally:
            server.running -= 1
            server.slots.release()
        return result_of(answer, item.tool.spec if item.tool else None, self._settings.result_mb * MIB)


class _Server:
    """One server: its connection and its slots."""

    def __init__(self, name: str, settings: McpServer, lane: McpLane) -> None:
        self.settings = settings
        self.connection = Connection(name, settings, lambda tools: lane.listed(self, tools))
        self.slots = asyncio.Semaphore(settings.max_concurrency)
        self.waiting = self.running = 0

    @property
    def free(self) -> int:
        """Calls that would begin at once."""
        return max(0, self.settings.max_concurrency - self.running - self.waiting)


def _spec(server: str, tool: Tool, timeout_s: float) -> ToolSpec:
    name = re.sub(r"[^A-Za-z0-9_-]", "_", f"{server}{SEPARATOR}{tool.name}")[:_MAX_NAME]
    schema: dict[str, Any] = dict(tool.input_schema)
    return ToolSpec(
        name=name, description=tool.description or "", parameters=schema, backend="mcp", timeout_s=timeout_s
    )


def _refused(error: MCPError) -> CallResult:
    """An error of the protocol: the call does not fit, or the server's own code failed outside the tool."""
    invalid = error.code in _INVALID
    return CallResult(
        Status.INVALID_CALL if invalid else Status.TOOL_ERROR,
        error_type="invalid_arguments" if invalid else "McpError",
        error_message=_clean(error.message),
    )


def result_of(answer: CallToolResult, spec: ToolSpec | None, limit: int) -> CallResult:
    """What an MCP result amounts to here. The value is the structured content where there is some, else the text of
    the only block, else all blocks."""
    if answer.is_error:
        text = "\n".join(block.text for block in answer.content if isinstance(block, TextContent))
        return CallResult(Status.TOOL_ERROR, error_type="McpToolError", error_message=_clean(text or "the tool failed"))
    encoded = encode(_value(answer))
    if len(encoded) > limit:
        message = f"the result exceeds {limit} bytes as JSON"
        return CallResult(Status.OUTPUT_LIMIT, error_type="OutputLimit", error_message=message)
    return CallResult(Status.OK, value_json=encoded)


def _value(answer: CallToolResult) -> Any:
    structured = answer.structured_content
    if structured is not None:
        # Servers wrap what is no object as {"result": value}: older versions of the protocol allow objects only.
        wrapped = isinstance(structured, Mapping) and structured.keys() == {"result"}
        return structured["result"] if wrapped else structured
    if not answer.content:
        return None
    blocks = [_block(block) for block in answer.content]
    return blocks[0] if len(blocks) == 1 else blocks


def _block(block: Any) -> Any:
    if isinstance(block, TextContent):
        return block.text
    if isinstance(block, ImageContent):
        return {"mime_type": block.mime_type, "data": base64.b64decode(block.data)}
    return block.model_dump(mode="json", exclude_none=True)


def _clean(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode("utf-8")[:_MAX_MESSAGE]
