"""REST: ``/execute`` as MENTOR/ReCall clients send it, and the twins of the RPCs under ``/v1``."""

from __future__ import annotations

import json
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from mentor_sandbox.engine import Sandbox
from mentor_sandbox.results import Call, CallResult


class ExecuteBody(BaseModel):
    """The published request."""

    env: str = ""
    call: str
    timeout: float | None = Field(default=None, gt=0)


class ExecuteAnswer(BaseModel):
    """The published response, and what it could not say: ``status``, ``error_type``, ``duration_ms``."""

    output: str
    result: Any
    error: str | None
    status: str
    error_type: str | None
    duration_ms: float


class CallBody(BaseModel):
    """A registered tool, a function of source, or an expression of an environment."""

    model_config = ConfigDict(extra="forbid")

    tool: str | None = None
    source: str | None = None
    function: str | None = None
    env: str | None = None
    expression: str | None = None
    arguments: dict[str, Any] = Field(default_factory=dict)
    timeout_s: float | None = Field(default=None, gt=0)

    def call(self) -> Call:
        """The call; raises UserError if it is none or several of the three forms."""
        return Call(
            tool=self.tool,
            source=self.source if self.expression is None else self.env,
            function=self.function,
            expression=self.expression,
            arguments=self.arguments,
            timeout_s=self.timeout_s,
        )


class BatchBody(BaseModel):
    """Calls that run at once."""

    model_config = ConfigDict(extra="forbid")

    calls: list[CallBody]


class ResultAnswer(BaseModel):
    """``value`` is ``value_json`` decoded; both are null where there is no result."""

    status: str
    value_json: str | None
    value: Any
    stdout: str
    stderr: str
    error_type: str
    error_message: str
    duration_ms: float
    truncated: bool


class BatchAnswer(BaseModel):
    """Results in the order of the calls."""

    results: list[ResultAnswer]


class ToolAnswer(BaseModel):
    """A registered tool."""

    name: str
    description: str
    parameters: dict[str, Any]
    timeout_s: float


def create_router(sandbox: Sandbox) -> APIRouter:
    """The sandbox's routes."""
    router = APIRouter(tags=["sandbox"])

    @router.post("/execute")
    async def execute(body: ExecuteBody) -> ExecuteAnswer:
        """Evaluate ``call`` after ``env``. A failing tool is a 200 with ``error``."""
        result = await sandbox.call(Call(source=body.env, expression=body.call, timeout_s=body.timeout))
        return ExecuteAnswer(
            output=result.stdout,
            result=None if result.value_json is None else json.loads(result.value_json),
            error=result.error,
            status=result.status.value,
            error_type=result.error_type or None,
            duration_ms=result.duration_ms,
        )

    @router.post("/v1/execute")
    async def execute_one(body: CallBody) -> ResultAnswer:
        """Run one call."""
        return _answer(await sandbox.call(body.call()))

    @router.post("/v1/execute_batch")
    async def execute_batch(body: BatchBody) -> BatchAnswer:
        """Run many calls at once."""
        results = await sandbox.batch([item.call() for item in body.calls])
        return BatchAnswer(results=[_answer(result) for result in results])

    @router.get("/v1/tools")
    async def tools() -> dict[str, list[ToolAnswer]]:
        """Registered tools, sorted by name."""
        specs = sorted(sandbox.tools.values(), key=lambda spec: spec.name)
        return {"tools": [ToolAnswer(**spec.model_dump(include=set(ToolAnswer.model_fields))) for spec in specs]}

    return router


def _answer(result: CallResult) -> ResultAnswer:
    return ResultAnswer(
        status=result.status.value,
        value_json=result.value_json,
        value=None if result.value_json is None else json.loads(result.value_json),
        stdout=result.stdout,
        stderr=result.stderr,
        error_type=result.error_type,
        error_message=result.error_message,
        duration_ms=result.duration_ms,
        truncated=result.truncated,
    )
