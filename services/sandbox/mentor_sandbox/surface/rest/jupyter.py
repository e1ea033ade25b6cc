"""Server. ``POST /run_jupyter`` with SandboxFusion's fields: cells in a session of their own, which ends with the request."""

from __future__ import annotations

import time
from typing import Any, Literal

from fastapi import APIRouter
from pydantic import BaseModel, Field

from mentor.errors import UserError
from mentor.serving.responses import AsciiJSONResponse
from mentor_sandbox.results import Status
from mentor_sandbox.settings import SandboxSettings
from mentor_sandbox.supervise.lanes.session import CellResult
from mentor_sandbox.supervise.sessions import Sessions
from mentor_sandbox.surface.rest.base64_files import from_base64, to_base64
from mentor_sandbox.surface.rest.fusion import pod_name

MAX_CELLS = 1000


class RunJupyterBody(BaseModel):
    """SandboxFusion's request. A ``cell_timeout`` of 0 leaves only the total one."""

    cells: list[str] = Field(max_length=MAX_CELLS)
    cell_timeout: float = Field(default=0, ge=0)
    total_timeout: float = Field(default=45, gt=0)
    memory_limit_MB: int = -1
    kernel: Literal["python3"] = "python3"
    files: dict[str, str] = Field(default_factory=dict)
    fetch_files: list[str] = Field(default_factory=list)


class Driver(BaseModel):
    """What the published server says of the program that ran the cells."""

    status: str
    execution_time: float
    return_code: int | None
    stdout: str = ""
    stderr: str = ""


class Cell(BaseModel):
    """What one cell gave, as Jupyter has it."""

    stdout: str
    stderr: str
    display: list[dict[str, Any]]
    error: list[dict[str, Any]]
    status: str
    call_status: str
    truncated: bool


class RunJupyterAnswer(BaseModel):
    """SandboxFusion's response."""

    status: str
    message: str
    driver: Driver
    cells: list[Cell]
    executor_pod_name: str | None
    files: dict[str, str]


def create_router(sessions: Sessions, settings: SandboxSettings) -> APIRouter:
    """The route."""
    router = APIRouter(tags=["SandboxFusion"])

    @router.post("/run_jupyter", response_model=RunJupyterAnswer)
    async def run_jupyter(body: RunJupyterBody) -> AsciiJSONResponse:
        """Run cells one after the other; a failing cell does not end the run, one that is too late does."""
        most = settings.max_timeout_s
        if max(body.total_timeout, body.cell_timeout) > most:
            raise UserError(f"a time limit is at most {most:g} s", field="total_timeout", allowed=f"0 to {most:g}")
        return AsciiJSONResponse((await _run(sessions, body)).model_dump())

    return router


async def _run(sessions: Sessions, body: RunJupyterBody) -> RunJupyterAnswer:
    started = time.monotonic()
    memory_mb = body.memory_limit_MB if body.memory_limit_MB > 0 else None
    session = await sessions.create(from_base64(body.files), memory_mb)
    results: list[CellResult] = []
    try:
        for source in body.cells:
            left = body.total_timeout - (time.monotonic() - started)
            limit_s = min(left, body.cell_timeout) if body.cell_timeout else left
            if left <= 0:
                return _answer(results, started, late=True)
            results.append(await sessions.execute(session.id, source, limit_s))
            if results[-1].session_ended or results[-1].status is Status.TIMEOUT:
                return _answer(results, started, late=results[-1].status is Status.TIMEOUT)
        fetched = await sessions.get(session.id, tuple(body.fetch_files))
        return _answer(results, started, fetched=fetched, done=True)
    finally:
        if session.process.ended is None:
            await sessions.close(session.id)


def _answer(
    results: list[CellResult],
    started: float,
    *,
    late: bool = False,
    done: bool = False,
    fetched: dict[str, bytes] | None = None,
) -> RunJupyterAnswer:
    last = results[-1] if results else None
    driver = Driver(
        status="TimeLimitExceeded" if late else "Finished",
        execution_time=time.monotonic() - started,
        return_code=None if late else 0 if done else -9,
    )
    message = "" if done else "the time limit passed" if last is None or last.error is None else last.error
    return RunJupyterAnswer(
        status="Success" if done else "Failed",
        message=message,
        driver=driver,
        cells=[_cell(result) for result in results],
        executor_pod_name=pod_name(),
        files=to_base64(fetched or {}),
    )


def _cell(result: CellResult) -> Cell:
    error: list[dict[str, Any]] = []
    if result.status is not Status.OK:
        lines = result.traceback.splitlines()
        error = [{"ename": result.error_type, "evalue": result.error_message, "traceback": lines}]
    return Cell(
        stdout=result.stdout,
        stderr=result.stderr,
        display=[{"text/plain": result.text}] if result.text else [],
        error=error,
        status="ok" if result.status is Status.OK else "error",
        call_status=result.status.value,
        truncated=result.truncated,
    )
