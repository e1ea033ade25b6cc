"""REST: ``/execute`` as MENTOR/ReCall clients send it, and the twins of the RPCs under ``/v1``."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from mentor.serving.responses import AsciiJSONResponse
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

    @router.post("/execute", response_model=ExecuteAnswer)
    async def execute(body: ExecuteBody) -> AsciiJSONResponse:
        """Evaluate ``call`` after ``env``. A failing tool is a 200 with ``error``."""
        result = await sandbox.call(Call(source=body.env, expression=body.call, timeout_s=body.timeout))
        return AsciiJSONResponse(
            {
                "output": result.stdout,
                "result": None if result.value_json is None else json.loads(result.value_json),
                "error": result.error,
                "status": result.status.value,
                "error_type": result.error_type or None,
                "duration_ms": result.duration_ms,
            }
        )

    @router.post("/v1/execute", response_model=ResultAnswer)
    async def execute_one(body: CallBody) -> AsciiJSONResponse:
        """Run one call."""
        return AsciiJSONResponse(_answer(await sandbox.call(body.call())))

    @router.post("/v1/execute_batch", response_model=BatchAnswer)
    async def execute_batch(body: BatchBody) -> AsciiJSONResponse:
        """Run many calls at once."""
        results = await sandbox.batch([item.call() for item in body.calls])
        return AsciiJSONResponse({"results": [_answer(result) for result in results]})

    @router.get("/v1/tools")
    async def tools() -> dict[str, list[ToolAnswer]]:
        """Registered tools, sorted by name."""
        specs = sorted(sandbox.tools.values(), key=lambda spec: spec.name)
        return {"tools": [ToolAnswer(**spec.model_dump(include=set(ToolAnswer.model_fields))) for spec in specs]}

    return router


def _answer(result: CallResult) -> dict[str, Any]:
    """The fields of ``ResultAnswer``."""
    value = None if result.value_json is None else json.loads(result.value_json)
    return {**asdict(result), "status": result.status.value, "value": value}
