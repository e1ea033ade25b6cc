"""Server. REST twin of ``ProgramService``."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from mentor.serving.responses import AsciiJSONResponse
from mentor_sandbox.supervise.programs import Program, ProgramResult, Programs
from mentor_sandbox.surface.rest.base64_files import from_base64, to_base64
from mentor_sandbox.surface.rest.bodies import result_fields


class RunBody(BaseModel):
    """A Python program; contents of files are base64."""

    model_config = ConfigDict(extra="forbid")

    code: str
    stdin: str = ""
    files: dict[str, str] = Field(default_factory=dict)
    fetch_files: list[str] = Field(default_factory=list)
    timeout_s: float | None = Field(default=None, gt=0)
    memory_mb: int | None = Field(default=None, gt=0)

    def program(self) -> Program:
        """The program; raises UserError if a file is not base64."""
        return Program(
            code=self.code,
            stdin=self.stdin,
            files=from_base64(self.files),
            fetch=tuple(self.fetch_files),
            timeout_s=self.timeout_s,
            memory_mb=self.memory_mb,
        )


class RunAnswer(BaseModel):
    """How a program ended."""

    status: str
    exit_code: int | None
    stdout: str
    stderr: str
    error_type: str
    error_message: str
    duration_ms: float
    stdout_truncated: bool
    stderr_truncated: bool
    peak_memory_bytes: int
    files: dict[str, str]


def create_router(programs: Programs) -> APIRouter:
    """The routes."""
    router = APIRouter(tags=["programs"])

    @router.post("/v1/run", response_model=RunAnswer)
    async def run(body: RunBody) -> AsciiJSONResponse:
        """Run a program."""
        return AsciiJSONResponse(answer(await programs.run(body.program())))

    return router


def answer(result: ProgramResult) -> dict[str, Any]:
    """The fields of ``RunAnswer``."""
    return result_fields(result, RunAnswer.model_fields, files=to_base64(result.files))
