"""MCP both ways: tools of other servers among the registered ones, and the registered ones as an MCP server."""
