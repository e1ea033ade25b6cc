"""Server. Settings of the sandbox: MENTOR_SANDBOX_<NAME>, the YAML file, or flags."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_settings import SettingsConfigDict

from mentor.serving import ServiceSettings

MIB = 1024 * 1024


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


class SandboxSettings(ServiceSettings):
    """Limits are per call unless they say otherwise."""

    model_config = SettingsConfigDict(env_prefix="MENTOR_SANDBOX_")

    port: int = Field(default=5000, ge=0, le=65535)
    grpc_port: int | None = Field(default=50051, ge=-1, le=65535)

    max_concurrency: int = Field(default_factory=lambda: 2 * (os.cpu_count() or 1), ge=1)
    workers: int = Field(default_factory=lambda: os.cpu_count() or 1, ge=1, description="warm ones per set of tools")
    worker_calls: int = Field(default=20_000, ge=1, description="calls after which a worker is replaced")
    slow_slots: int = Field(default=32, ge=0, description="long calls that do not count against max_concurrency")
    max_queue: int = Field(default=1024, ge=0, description="calls that may wait; beyond it callers get 429")
    max_batch: int = Field(default=1024, ge=1, description="calls in one batch")
    queue_timeout_s: float = Field(default=30.0, gt=0)

    default_timeout_s: float = Field(default=5.0, gt=0)
    max_timeout_s: float = Field(default=300.0, gt=0)
    startup_timeout_s: float = Field(default=15.0, gt=0, description="how long a call may take to begin")
    memory_mb: int = Field(default=512, ge=16, description="beyond what the warm process has")
    file_mb: int = Field(default=16, ge=1, description="largest file, and most output on one stream")
    output_kb: int = Field(default=1024, ge=1, description="how much of each output stream is returned")
    result_mb: int = Field(default=8, ge=1)
    scratch_mb: int = Field(default=64, ge=1, description="what a call may keep in its scratch directory")
    open_files: int = Field(default=64, ge=16)
    max_memory_mb: int = Field(default=4096, ge=16, description="most memory that a program or session may ask for")
    max_files: int = Field(default=256, ge=0, description="files sent with, or fetched from, one request")
    max_files_mb: int = Field(default=32, ge=1, description="their size together")

    mcp_servers: dict[str, McpServer] = Field(default_factory=dict, description="whose tools are registered, by prefix")

    max_sessions: int = Field(default=64, ge=0, description="open ones; beyond it callers get 429")
    session_idle_s: float = Field(default=600.0, gt=0, description="unused so long, a session expires")
    session_lifetime_s: float = Field(default=14_400.0, gt=0, description="however it is used, a session expires")
    interrupt_grace_s: float = Field(default=1.0, gt=0, description="between interrupting a cell and killing it")

    zygotes: int = Field(default_factory=lambda: max(1, (os.cpu_count() or 1) // 2), ge=1, description="per kind")
    warm: tuple[str, ...] = Field(default=("core",), description="kinds started at once: core, scientific, web")
    scratch_root: Path | None = Field(default=None, description="where scratch directories lie; default: the system's")
    tools_path: Path | None = Field(default=None, description="Python file of further registered tools")

    search_url: str | None = Field(
        default=None, description="retriever that <search-url-placeholder> in a call's env stands for"
    )
    untrusted_hosts: tuple[str, ...] = Field(
        default=(), description="host:port that calls with their own source may reach, through the proxy; default: none"
    )
    lane: Literal["registered", "untrusted", "sessions"] | None = Field(
        default=None, description="serve this lane only (a pod per lane); default: all"
    )
    uids: tuple[int, int] | None = Field(
        default=(200_000, 60_000),
        description="first user id and number of ids for calls, where the process may give them; null: never",
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.default_timeout_s > self.max_timeout_s:
            raise ValueError(f"default_timeout_s must not exceed max_timeout_s ({self.max_timeout_s:g})")
        if self.search_url is not None and urlsplit(self.search_url).port is None:
            raise ValueError(f"search_url must be a URL with a port, got {self.search_url!r}")
        return self

    @property
    def max_files_bytes(self) -> int:
        """Most that files of one request may take together."""
        return self.max_files_mb * MIB

    @property
    def search_host(self) -> str | None:
        """``host:port`` of ``search_url``."""
        if self.search_url is None:
            return None
        parts = urlsplit(self.search_url)
        return f"{parts.hostname}:{parts.port}"
