"""Server. REST: ``/execute`` as MENTOR/ReCall clients send it, and the twins of the RPCs under ``/v1``."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.routing import Route

from mentor_sandbox.results import Call, CallResult
from mentor_sandbox.supervise.engine import Sandbox
from mentor_sandbox.surface.rest.bodies import body_schema, read_body, result_fields

Endpoint = Callable[[Request], Awaitable[Response]]
_encode = json.JSONEncoder(ensure_ascii=True, allow_nan=False, separators=(",", ":")).encode


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
    stdout_truncated: bool
    stderr_truncated: bool
    peak_memory_bytes: int


class IndexedAnswer(BaseModel):
    """A line of ``/v1/execute_stream``: the result of the call at ``index``."""

    index: int
    result: ResultAnswer


_FIELDS = tuple(name for name in ResultAnswer.model_fields if name != "value")


class BatchAnswer(BaseModel):
    """Results in the order of the calls."""

    results: list[ResultAnswer]


class ToolAnswer(BaseModel):
    """A registered tool. ``id`` names exactly this version of it."""

    id: str
    name: str
    description: str
    parameters: dict[str, Any]
    timeout_s: float


def create_router(sandbox: Sandbox) -> APIRouter:
    """The sandbox's routes. The hot ones read their body themselves: FastAPI's own way costs more than a call."""
    router = APIRouter(tags=["sandbox"])

    def hot(path: str, answer: type[BaseModel], body: type[BaseModel]) -> Callable[[Endpoint], Endpoint]:
        """Two routes for one endpoint: the first that fits answers, the second only describes it in OpenAPI."""

        def add(endpoint: Endpoint) -> Endpoint:
            async def answered(request: Request) -> Response:
                request.scope["route"] = route
                return await endpoint(request)

            route = Route(path, answered, methods=["POST"], include_in_schema=False)
            router.routes.append(route)
            described = body_schema(body)
            router.add_api_route(path, endpoint, methods=["POST"], response_model=answer, openapi_extra=described)
            return endpoint

        return add

    @hot("/execute", ExecuteAnswer, ExecuteBody)
    async def execute(request: Request) -> Response:
        """Evaluate ``call`` after ``env``. A failing tool is a 200 with ``error``."""
        body = await read_body(request, ExecuteBody)
        result = await sandbox.call(Call(source=body.env, expression=body.call, timeout_s=body.timeout))
        answer = {
            "output": result.stdout,
            "error": result.error,
            "status": result.status.value,
            "error_type": result.error_type or None,
            "duration_ms": result.duration_ms,
        }
        return _json_response(_with_value(answer, "result", result.value_json))

    @hot("/v1/execute", ResultAnswer, CallBody)
    async def execute_one(request: Request) -> Response:
        """Run one call."""
        body = await read_body(request, CallBody)
        return _json_response(_answer(await sandbox.call(body.call())))

    @hot("/v1/execute_batch", BatchAnswer, BatchBody)
    async def execute_batch(request: Request) -> Response:
        """Run many calls at once."""
        body = await read_body(request, BatchBody)
        results = await sandbox.batch([item.call() for item in body.calls])
        return _json_response(f'{{"results":[{",".join(_answer(result) for result in results)}]}}')

    @hot("/v1/execute_stream", IndexedAnswer, BatchBody)
    async def execute_stream(request: Request) -> Response:
        """Run many calls at once; one line of JSON for each result, as they finish."""
        body = await read_body(request, BatchBody)
        results = sandbox.stream([item.call() for item in body.calls])
        # What refuses the whole batch is raised here, while it can still be the response's status.
        first = await anext(results)
        return StreamingResponse(_lines(first, results), media_type="application/x-ndjson")

    @router.get("/v1/tools")
    async def tools() -> dict[str, list[ToolAnswer]]:
        """Registered tools, sorted by name."""
        fields = ToolAnswer.model_fields.keys() - {"id"}
        return {
            "tools": [ToolAnswer(id=tool.id, **tool.spec.model_dump(include=fields)) for tool in sandbox.tools.listed()]
        }

    return router


def _json_response(text: str) -> Response:
    return Response(text.encode("ascii"), media_type="application/json")


async def _lines(
    first: list[tuple[int, CallResult]], rest: AsyncIterator[list[tuple[int, CallResult]]]
) -> AsyncIterator[str]:
    yield _indexed(first)
    async for results in rest:
        yield _indexed(results)


def _indexed(results: list[tuple[int, CallResult]]) -> str:
    return "".join(f'{{"index":{index},"result":{_answer(result)}}}\n' for index, result in results)


def _answer(result: CallResult) -> str:
    """``ResultAnswer`` as JSON."""
    return _with_value(result_fields(result, _FIELDS), "value", result.value_json)


def _with_value(fields: dict[str, Any], name: str, value_json: str | None) -> str:
    """The fields as JSON, with one more whose value is JSON already (and has been checked to be)."""
    return f'{_encode(fields)[:-1]},"{name}":{value_json or "null"}}}'
