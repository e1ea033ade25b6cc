"""Runs calls in the sandbox, over gRPC (``host:port``) or REST (``http://...``)."""

from __future__ import annotations

import json
from typing import Any

import httpx

from mentor.errors import InfrastructureError
from mentor.rpc.channels import PerLoop, is_http
from mentor.rpc.context import outgoing
from mentor.rpc.endpoint import ServiceEndpoint
from mentor.rpc.errors import from_http
from mentor.rpc.retry import RetryPolicy, with_retries
from mentor.rpc.v1 import sandbox_pb2 as pb
from mentor.rpc.v1.sandbox_pb2_grpc import SandboxServiceStub
from mentor.tools.builtin import MATH_TOOLS
from mentor.tools.executor import presentable
from mentor.tools.render import render_error, render_value
from mentor.tools.sandbox_stream import CallStreams
from mentor.tools.spec import ToolSpec
from mentor.tools.values import decode_value
from mentor.trajectory import Frozen, Observation, ToolCall

_MARGIN_S = 35.0
"""On top of a call's own limit: what it may wait in the sandbox's queue, and start."""
_JSON = {"content-type": "application/json"}
_STUB: Any = SandboxServiceStub
_REGISTERED = {spec.name: spec for spec in MATH_TOOLS}
_STATUSES = {number: name.removeprefix("CALL_STATUS_").lower() for name, number in pb.CallStatus.items()}
_ERROR_TYPES = {"invalid_call": "invalid_arguments"}


class SandboxResult(Frozen):
    """What the sandbox says of one call; see ``CallResult`` in sandbox.proto."""

    status: str
    value_json: str | None = None
    stdout: str = ""
    stderr: str = ""
    error_type: str = ""
    error_message: str = ""
    duration_ms: float = 0.0
    truncated: bool = False
    stdout_truncated: bool = False
    stderr_truncated: bool = False
    peak_memory_bytes: int = 0


class SandboxExecutor(ServiceEndpoint):
    """Runs calls in one sandbox; safe to share between event loops and tasks. Calls made together travel together."""

    def __init__(self, endpoint: str, policy: RetryPolicy | None = None) -> None:
        super().__init__(endpoint, policy)
        self._streams: PerLoop[CallStreams] = PerLoop(lambda: CallStreams(_STUB(self._channel.get())))

    async def close(self) -> None:
        """Close what the running event loop opened."""
        self._streams.take()
        await super().close()

    async def execute(self, call: ToolCall, spec: ToolSpec) -> Observation:
        """Run a call; see ``ToolExecutor.execute``."""
        return observed(call, spec, await self.run(request_of(call, spec)))

    async def run(self, body: dict[str, Any]) -> SandboxResult:
        """Run a call in the form that ``POST /v1/execute`` takes.

        Raises:
            InfrastructureError: after retries.
            UserError: the sandbox refuses the request as such.
        """
        send = self._over_http if is_http(self.endpoint) else self._over_grpc
        limit = float(body.get("timeout_s") or 5.0) + _MARGIN_S

        async def attempt(left: float) -> SandboxResult:
            result = await send(body, min(left, limit))
            if result.status == "infrastructure":
                raise InfrastructureError(f"sandbox {self.endpoint}: {result.error_message}")
            return result

        return await with_retries(attempt, self._policy)

    async def _over_grpc(self, body: dict[str, Any], timeout_s: float) -> SandboxResult:
        try:
            return _result(await self._streams.get().run(_message(body), timeout_s))
        except InfrastructureError as error:
            error.message = f"sandbox {self.endpoint}: {error.message}"
            raise

    async def _over_http(self, body: dict[str, Any], timeout_s: float) -> SandboxResult:
        try:
            # json.dumps, not httpx's own encoder: models write NaN and lone surrogates, which that refuses.
            response = await self._client.get().post(
                "/v1/execute", content=json.dumps(body), timeout=timeout_s, headers=outgoing(timeout_s, _JSON)
            )
        except httpx.HTTPError as failure:
            reason = str(failure) or type(failure).__name__
            raise InfrastructureError(f"sandbox {self.endpoint}: {reason}") from None
        if response.is_error:
            raise from_http(response)
        return SandboxResult(**{name: response.json()[name] for name in SandboxResult.model_fields})


def request_of(call: ToolCall, spec: ToolSpec) -> dict[str, Any]:
    """A call in the form that ``POST /v1/execute`` takes: what the sandbox has registered goes by its name."""
    body: dict[str, Any] = {"arguments": call.arguments, "timeout_s": spec.timeout_s}
    if spec.source is None or _REGISTERED.get(spec.name) == spec:
        return body | {"tool": spec.name}
    return body | {"source": spec.source, "function": spec.name}


def observed(call: ToolCall, spec: ToolSpec, result: SandboxResult) -> Observation:
    """The observation that a result is to the model."""
    if result.status == "ok" and result.value_json is not None:
        content, error_type = _text(decode_value(result.value_json)), None
    else:
        error_type = _ERROR_TYPES.get(result.status, result.status)
        content = render_error(error_type, call.name, _detail(result, error_type))
    return Observation(
        name=call.name,
        content=presentable(content),
        ok=error_type is None,
        executed=error_type != "invalid_arguments",
        call_id=call.id,
        error_type=error_type,
        duration_ms=result.duration_ms,
    )


def _text(value: Any) -> str:
    """Values that JSON has, as the model reads them; any other (a complex number, a set) as Python shows it."""
    plain = value is None or isinstance(value, (bool, int, float, str, list, dict))
    return render_value(value if plain else str(value))


def _detail(result: SandboxResult, error_type: str) -> str:
    if error_type == "tool_error" and result.error_message:
        return f"{result.error_type}: {result.error_message}"
    return result.error_message or result.error_type


def _message(body: dict[str, Any]) -> pb.ToolCall:
    message = pb.ToolCall(arguments_json=json.dumps(body.get("arguments") or {}), timeout_s=body.get("timeout_s") or 0)
    if body.get("tool") is not None:
        message.tool = body["tool"]
    if body.get("function") is not None:
        message.source.source = body["source"]
        message.source.function = body["function"]
    if body.get("expression") is not None:
        message.expression.env = body.get("env") or ""
        message.expression.expression = body["expression"]
    return message


def _result(message: pb.CallResult) -> SandboxResult:
    return SandboxResult(
        status=_STATUSES[message.status],
        value_json=message.value_json if message.HasField("value_json") else None,
        stdout=message.stdout,
        stderr=message.stderr,
        error_type=message.error_type,
        error_message=message.error_message,
        duration_ms=message.duration_ms,
        truncated=message.truncated,
        stdout_truncated=message.stdout_truncated,
        stderr_truncated=message.stderr_truncated,
        peak_memory_bytes=message.peak_memory_bytes,
    )
