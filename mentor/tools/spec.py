"""What a tool is: a name, a description, a JSON Schema and, for tools run in the sandbox, Python source."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from mentor.trajectory import Frozen


class ToolSpec(Frozen):
    """A tool as the model sees it and as the system runs it.

    ``backend``: ``sandbox`` runs ``source`` (or a built-in of that name) in the sandbox, ``retriever`` asks the
    retriever, ``mcp`` asks an MCP server.

    For tools that a sandbox has registered: ``network`` lists the ``host:port`` pairs that it may reach, through the
    sandbox's proxy, and ``isolation`` says whether a warm worker runs its calls one after the other (``worker``) or
    every call gets a process of its own (``call``: needed if the tool evaluates what the model wrote).
    """

    name: str
    description: str
    parameters: dict[str, Any] = Field(default_factory=lambda: {"type": "object", "properties": {}})
    backend: Literal["sandbox", "retriever", "mcp"] = "sandbox"
    source: str | None = None
    timeout_s: float = 5.0
    network: tuple[str, ...] = ()
    isolation: Literal["worker", "call"] = "worker"

    def openai(self) -> dict[str, Any]:
        """The tool as an OpenAI ``tools`` entry, which chat templates render."""
        function = {"name": self.name, "description": self.description, "parameters": self.parameters}
        return {"type": "function", "function": function}
