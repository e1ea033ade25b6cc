"""A real MCP server for tests, made with the SDK: ``python -m tests.support.mcp_server stdio`` or ``... http PORT``."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Any

from mcp.server import MCPServer
from mcp.server.mcpserver.exceptions import ToolError

server = MCPServer("test tools")


@server.tool()
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@server.tool()
def describe(text: str, repeat: int = 1) -> dict[str, Any]:
    """Describe a text."""
    return {"text": text * repeat, "length": len(text) * repeat, "pid": os.getpid()}


@server.tool()
def fail(message: str) -> str:
    """Always fail."""
    raise ToolError(message)


@server.tool()
async def wait(seconds: float) -> str:
    """Take some time."""
    await asyncio.sleep(seconds)
    return "done"


@server.tool()
def die() -> str:
    """End the server in the middle of the call."""
    os._exit(1)


if __name__ == "__main__":
    if sys.argv[1] == "stdio":
        server.run("stdio")
    else:
        server.run("streamable-http", host="127.0.0.1", port=int(sys.argv[2]))
