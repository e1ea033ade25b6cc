"""Server. GRPC: the same engine behind ``mentor.rpc.v1.SandboxService``."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

from mentor.errors import UserError
from mentor.rpc.v1 import sandbox_pb2 as pb
from mentor.rpc.v1.sandbox_pb2_grpc import SandboxServiceServicer
from mentor_sandbox.results import Call
from mentor_sandbox.supervise.engine import Sandbox
from mentor_sandbox.surface.rpc.messages import Context, ResultMessage, positive

FULL_NAME = pb.DESCRIPTOR.services_by_name["SandboxService"].full_name


class SandboxServicer(SandboxServiceServicer):  # type: ignore[misc]
    """Translates messages; everything else is the engine's."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    async def Execute(self, request: pb.ExecuteRequest, context: Context) -> pb.ExecuteResponse:
        """Run one call."""
        return pb.ExecuteResponse(result=_message(await self._sandbox.call(_call(request.call))))

    async def ExecuteBatch(self, request: pb.ExecuteBatchRequest, context: Context) -> pb.ExecuteBatchResponse:
        """Run many calls at once."""
        results = await self._sandbox.batch([_call(call) for call in request.calls])
        return pb.ExecuteBatchResponse(results=[_message(result) for result in results])

    async def ExecuteStream(
        self, request: pb.ExecuteStreamRequest, context: Context
    ) -> AsyncIterator[pb.ExecuteStreamResponse]:
        """Run many calls at once; results as they finish."""
        async for results in self._sandbox.stream([_call(call) for call in request.calls]):
            yield pb.ExecuteStreamResponse(
                results=[pb.IndexedResult(index=index, result=_message(result)) for index, result in results]
            )

    async def ListTools(self, request: pb.ListToolsRequest, context: Context) -> pb.ListToolsResponse:
        """Registered tools, sorted by name."""
        tools = [
            pb.Tool(
                name=tool.spec.name,
                description=tool.spec.description,
                parameters_json=json.dumps(tool.spec.parameters),
                timeout_s=tool.spec.timeout_s,
                id=tool.id,
            )
            for tool in self._sandbox.tools.listed()
        ]
        return pb.ListToolsResponse(tools=tools)


def _call(message: pb.ToolCall) -> Call:
    target = message.WhichOneof("target")
    arguments = _arguments(message.arguments_json)
    timeout_s = positive(message.timeout_s, "timeout_s", "a time limit must be positive, got {value:g}")
    if target == "tool":
        return Call(tool=message.tool, arguments=arguments, timeout_s=timeout_s)
    if target == "source":
        source = message.source
        return Call(source=source.source, function=source.function, arguments=arguments, timeout_s=timeout_s)
    if target == "expression":
        given = message.expression
        return Call(source=given.env, expression=given.expression, timeout_s=timeout_s)
    raise UserError("give exactly one of tool, function (with source) and expression (with env)", field="call")


def _arguments(text: str) -> dict[str, Any]:
    try:
        arguments = json.loads(text or "{}")
    except (ValueError, RecursionError) as error:
        raise UserError(f"arguments_json is not JSON: {error}", field="arguments_json") from None
    if not isinstance(arguments, dict):
        kind = type(arguments).__name__
        raise UserError(f"arguments_json must hold a JSON object, not a {kind}", field="arguments_json")
    return arguments


_message = ResultMessage(pb.CallResult)
