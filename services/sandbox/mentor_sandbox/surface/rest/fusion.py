"""Server. ``/run_code`` and ``/v1/ping`` with SandboxFusion's fields, so that its SDK and verl's reward utility work unchanged.

Only Python runs here. Where its answers hide something, ours say it in further fields: ``truncated``, and the typed
``call_status``. A failure of ours is 503, which its clients retry, instead of a 200 that says ``SandboxError``.
"""

from __future__ import annotations

import os
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, Field

from mentor.errors import UserError
from mentor.serving.responses import AsciiJSONResponse
from mentor_sandbox.results import Status
from mentor_sandbox.supervise.programs import Program, ProgramResult, Programs
from mentor_sandbox.surface.rest.base64_files import from_base64, to_base64

LANGUAGE = "python"


class RunCodeBody(BaseModel):
    """SandboxFusion's request. Python has nothing to compile: ``compile_timeout`` is accepted and not used."""

    code: str
    language: str
    compile_timeout: float = Field(default=10, gt=0)
    run_timeout: float = Field(default=10, gt=0)
    memory_limit_MB: int = -1
    stdin: str | None = None
    files: dict[str, str | None] = Field(default_factory=dict)
    fetch_files: list[str] = Field(default_factory=list)

    def program(self) -> Program:
        """The program; raises UserError if it is not one for this sandbox."""
        check_language(self.language)
        return Program(
            code=self.code,
            stdin=self.stdin or "",
            files=from_base64(self.files),
            fetch=tuple(self.fetch_files),
            timeout_s=self.run_timeout,
            memory_mb=self.memory_limit_MB if self.memory_limit_MB > 0 else None,
        )


class RunResult(BaseModel):
    """SandboxFusion's ``CommandRunResult``, and what was cut."""

    status: str
    execution_time: float | None
    return_code: int | None
    stdout: str
    stderr: str
    stdout_truncated: bool = False
    stderr_truncated: bool = False


class RunCodeAnswer(BaseModel):
    """SandboxFusion's response, and our own status of the run."""

    status: str
    message: str
    compile_result: None = None
    run_result: RunResult
    executor_pod_name: str | None
    files: dict[str, str]
    truncated: bool
    call_status: str


def create_router(programs: Programs) -> APIRouter:
    """The routes of its published API that run programs."""
    router = APIRouter(tags=["SandboxFusion"])

    @router.get("/v1/ping")
    async def ping() -> str:
        """Whether somebody is there."""
        return "pong"

    @router.post("/run_code", response_model=RunCodeAnswer)
    async def run_code(body: RunCodeBody) -> AsciiJSONResponse:
        """Run a Python program."""
        return AsciiJSONResponse(answer(await programs.run(body.program())).model_dump())

    return router


def check_language(language: str) -> None:
    """Raises UserError unless it is Python."""
    if language != LANGUAGE:
        raise UserError(f"language {language[:60]!r} is not run here", field="language", allowed=LANGUAGE)


def answer(result: ProgramResult) -> RunCodeAnswer:
    """A result in the published form."""
    late = result.status is Status.TIMEOUT
    run = RunResult(
        status="TimeLimitExceeded" if late else "Finished",
        execution_time=result.run_s,
        return_code=_return_code(result),
        stdout=result.stdout,
        stderr=result.stderr,
        stdout_truncated=result.stdout_truncated,
        stderr_truncated=result.stderr_truncated,
    )
    return RunCodeAnswer(
        status="Success" if result.status is Status.OK else "Failed",
        message=message(result),
        run_result=run,
        executor_pod_name=pod_name(),
        files=to_base64(result.files),
        truncated=result.truncated,
        call_status=result.status.value,
    )


def pod_name() -> str | None:
    """The pod's name where Kubernetes tells it, under the variable that the published server reads."""
    return os.environ.get("MY_POD_NAME")


def message(result: Any) -> str:
    """Why a limit ended it; its own failures are on its standard error."""
    return "" if result.status in (Status.OK, Status.TOOL_ERROR) else str(result.error)


def _return_code(result: ProgramResult) -> int | None:
    """Its own, or that of the SIGKILL with which a limit other than time was enforced: clients take None for late."""
    if result.exit_code is not None or result.status is Status.TIMEOUT:
        return result.exit_code
    return -9
