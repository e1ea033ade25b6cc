"""Server. ``python -m mentor_sandbox.mcp``: the sandbox as an MCP server on standard streams, for clients that start one."""

from __future__ import annotations

import asyncio
import sys

import uvloop

from mentor.errors import MentorError
from mentor.serving import load_settings
from mentor.serving.logs import configure_logs
from mentor.serving.metrics import new_registry
from mentor_sandbox.app import sandbox_of
from mentor_sandbox.settings import SandboxSettings
from mentor_sandbox.surface.mcp import serve_stdio


def main() -> int:
    """Settings come from the environment; logs go to standard error."""
    try:
        settings = load_settings(SandboxSettings, {}, None)
        configure_logs("sandbox", settings.log_level, settings.log_format)
        sandbox = sandbox_of(settings, new_registry())
    except MentorError as error:
        print(f"mentor_sandbox.mcp: {error}", file=sys.stderr)
        return 2
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve_stdio(sandbox))
    return 0


if __name__ == "__main__":
    sys.exit(main())
