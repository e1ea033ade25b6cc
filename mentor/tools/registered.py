"""Tools that a sandbox has registered (its operator's, those of its MCP servers), as specs that questions can offer."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import grpc
import httpx

from mentor.errors import InfrastructureError, UserError
from mentor.rpc.channels import grpc_channel, http_client, is_http
from mentor.rpc.context import outgoing
from mentor.rpc.errors import from_grpc, from_http
from mentor.rpc.retry import RetryPolicy, with_retries
from mentor.rpc.v1 import sandbox_pb2 as pb
from mentor.rpc.v1.sandbox_pb2_grpc import SandboxServiceStub
from mentor.tools.spec import ToolSpec

_STUB: Any = SandboxServiceStub


def placeholder(name: str) -> ToolSpec:
    """Stands for a registered tool before a sandbox has been asked: it can be named, and not be shown."""
    return ToolSpec(name=name, description="a tool that the sandbox has registered")


async def registered(sandbox: str, names: Sequence[str], retry: RetryPolicy) -> list[ToolSpec]:
    """The tools of these names, in their order, with the schemas that the sandbox tells.

    Raises:
        UserError: it has no such tool.
        InfrastructureError: it cannot be reached within ``retry``.
    """
    if not names:
        return []
    ask = _over_http if is_http(sandbox) else _over_grpc
    known = {tool.name: tool for tool in await with_retries(lambda left: ask(sandbox, left), retry)}
    for name in names:
        if name not in known:
            raise UserError(
                f"the sandbox {sandbox} has no tool {name!r}", field="sandbox_tools", allowed=", ".join(known)
            )
    return [known[name] for name in names]


async def _over_grpc(target: str, timeout_s: float) -> list[ToolSpec]:
    async with grpc_channel(target) as channel:
        metadata = tuple(outgoing(timeout_s).items())
        try:
            reply = await _STUB(channel).ListTools(pb.ListToolsRequest(), timeout=timeout_s, metadata=metadata)
        except grpc.aio.AioRpcError as error:
            raise from_grpc(error) from error
    return [_spec(t.name, t.description, json.loads(t.parameters_json), t.timeout_s) for t in reply.tools]


async def _over_http(url: str, timeout_s: float) -> list[ToolSpec]:
    async with http_client(url) as client:
        try:
            answer = await client.get("/v1/tools", timeout=timeout_s, headers=outgoing(timeout_s))
        except httpx.HTTPError as error:
            raise InfrastructureError(f"cannot reach {url}: {error or type(error).__name__}") from error
        if answer.is_error:
            raise from_http(answer)
        listed = answer.json()["tools"]
    return [_spec(t["name"], t["description"], t["parameters"], t["timeout_s"]) for t in listed]


def _spec(name: str, description: str, parameters: dict[str, Any], timeout_s: float) -> ToolSpec:
    return ToolSpec(name=name, description=description, parameters=parameters, timeout_s=timeout_s)
