"""Server. How work is run: registered tools in warm workers, the caller's code in a fork of its own, sessions, MCP servers.

What MCP servers say is the operator's own, and believed as far as its form fits.
"""
