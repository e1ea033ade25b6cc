"""Server. REST twins of ``SessionService``; contents of files are base64."""

from __future__ import annotations

import json
import time
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from mentor.serving.responses import AsciiJSONResponse
from mentor_sandbox.supervise.lanes.session import CellResult
from mentor_sandbox.supervise.sessions import Session, Sessions
from mentor_sandbox.surface.rest.base64_files import from_base64, to_base64
from mentor_sandbox.surface.rest.bodies import result_fields


class Body(BaseModel):
    """Fields that do not exist are refused."""

    model_config = ConfigDict(extra="forbid")


class FilesBody(Body):
    """Files by relative path."""

    files: dict[str, str] = Field(default_factory=dict)

    def contents(self) -> dict[str, bytes]:
        """Raises UserError if one is not base64."""
        return from_base64(self.files)


class CreateBody(FilesBody):
    """A new session."""

    memory_mb: int | None = Field(default=None, gt=0)
    idle_timeout_s: float | None = Field(default=None, gt=0)


class CellBody(Body):
    """A cell."""

    code: str
    timeout_s: float | None = Field(default=None, gt=0)


class PathsBody(Body):
    """Files to read."""

    paths: list[str]


class SessionAnswer(BaseModel):
    """See ``Session`` in sessions.proto."""

    id: str
    cells: int
    idle_s: float
    idle_timeout_s: float
    busy: bool


class CellAnswer(BaseModel):
    """See ``CellResult`` in sessions.proto; ``value`` is ``value_json`` decoded."""

    status: str
    value_json: str | None
    value: Any
    text: str
    stdout: str
    stderr: str
    error_type: str
    error_message: str
    traceback: str
    duration_ms: float
    stdout_truncated: bool
    stderr_truncated: bool
    cell: int
    session_ended: bool


def create_router(sessions: Sessions, most: int) -> APIRouter:
    """The routes."""
    router = APIRouter(prefix="/v1/sessions", tags=["sessions"])

    @router.post("")
    async def create(body: CreateBody) -> dict[str, SessionAnswer]:
        """Start a session."""
        session = await sessions.create(body.contents(), body.memory_mb, body.idle_timeout_s)
        return {"session": SessionAnswer(**shown(session))}

    @router.get("")
    async def count() -> dict[str, int]:
        """How many are open; their names are their clients' own."""
        return {"open": sessions.count, "most": most}

    @router.post("/{session_id}/execute")
    async def execute(session_id: str, body: CellBody) -> AsciiJSONResponse:
        """Run a cell."""
        result = await sessions.execute(session_id, body.code, body.timeout_s)
        return AsciiJSONResponse({"result": cell(result)})

    @router.post("/{session_id}/files")
    async def put(session_id: str, body: FilesBody) -> dict[str, int]:
        """Write files."""
        return {"written": await sessions.put(session_id, body.contents())}

    @router.post("/{session_id}/files/get")
    async def get(session_id: str, body: PathsBody) -> AsciiJSONResponse:
        """Read files."""
        return AsciiJSONResponse({"files": to_base64(await sessions.get(session_id, tuple(body.paths)))})

    @router.get("/{session_id}/snapshot")
    async def snapshot(session_id: str) -> AsciiJSONResponse:
        """Read all files."""
        return AsciiJSONResponse({"files": to_base64(await sessions.snapshot(session_id))})

    @router.post("/{session_id}/restore")
    async def restore(session_id: str, body: FilesBody) -> dict[str, int]:
        """Make its files those of a snapshot."""
        return {"written": await sessions.restore(session_id, body.contents())}

    @router.delete("/{session_id}")
    async def close(session_id: str) -> dict[str, int]:
        """End it."""
        return {"cells": await sessions.close(session_id)}

    return router


def shown(session: Session) -> dict[str, Any]:
    """The fields of ``SessionAnswer``."""
    return {
        "id": session.id,
        "cells": session.process.cells,
        "idle_s": round(time.monotonic() - session.used, 3),
        "idle_timeout_s": session.idle_timeout_s,
        "busy": session.busy,
    }


def cell(result: CellResult) -> dict[str, Any]:
    """The fields of ``CellAnswer``."""
    value = None if result.value_json is None else json.loads(result.value_json)
    return result_fields(result, CellAnswer.model_fields, value=value)
