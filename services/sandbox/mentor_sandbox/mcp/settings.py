"""How an MCP server is reached."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class McpServer(BaseModel):
    """One MCP server: a command that speaks over its standard streams, or the URL of a streamable HTTP endpoint.

    A command runs outside the walls, with the operator's rights and an almost empty environment: it is the operator's
    own code. What models write never reaches it but as arguments that fit its tools' schemas.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    command: tuple[str, ...] = ()
    env: dict[str, str] = Field(default_factory=dict)
    cwd: Path | None = None
    url: str | None = None
    headers: dict[str, str] = Field(default_factory=dict)
    timeout_s: float = Field(default=30.0, gt=0, description="of a call that names no limit of its own")
    max_concurrency: int = Field(default=16, ge=1)
    max_queue: int = Field(default=256, ge=0)
    tools: tuple[str, ...] | None = Field(default=None, description="the only ones that are taken; default: all")

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if bool(self.command) == (self.url is not None):
            raise ValueError("an MCP server has either a command or a url")
        return self
