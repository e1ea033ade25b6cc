"""A toy service behind both transports, for tests of what every service shares."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import httpx
from fastapi import APIRouter
from pydantic import BaseModel
from pydantic_settings import SettingsConfigDict

from mentor.errors import (
    ConflictError,
    DeadlineError,
    InfrastructureError,
    MentorError,
    NotFoundError,
    OverloadedError,
    UserError,
)
from mentor.rpc.context import remaining, request_id
from mentor.rpc.principal import Role
from mentor.rpc.v1 import sandbox_pb2 as pb
from mentor.rpc.v1.sandbox_pb2_grpc import (
    SandboxServiceServicer,
    SandboxServiceStub,
    add_SandboxServiceServicer_to_server,
)
from mentor.serving import RestBinding, RpcBinding, Server, Service, ServiceSettings, running

ERRORS: dict[str, MentorError] = {
    "user": UserError("bad", field="f", allowed="good"),
    "missing": NotFoundError("no such thing", field="id"),
    "conflict": ConflictError("too late"),
    "down": InfrastructureError("lost"),
    "late": DeadlineError("too slow"),
    "full": OverloadedError("later", retry_after=7),
}


class ToySettings(ServiceSettings):
    model_config = SettingsConfigDict(env_prefix="MENTOR_TOY_")

    size: int = 1
    names: tuple[str, ...] = ()


class Body(BaseModel):
    number: int


class ToyServicer(SandboxServiceServicer):  # type: ignore[misc]
    """Raises the error that the tool's name asks for; ``echo`` tells the request's id and time left."""

    async def Execute(self, request: pb.ExecuteRequest, context: Any) -> pb.ExecuteResponse:
        name = request.call.tool
        if name in ERRORS:
            raise ERRORS[name]
        if name == "bug":
            raise RuntimeError("secret detail")
        told = json.dumps({"id": request_id.get(), "left": remaining(1000.0)})
        return pb.ExecuteResponse(result=pb.CallResult(value_json=told))


def toy(settings: ToySettings | None = None, ready: list[str] | None = None, **options: Any) -> Service:
    router = APIRouter()

    @router.get("/fail/{name}")
    async def fail(name: str) -> None:
        raise ERRORS[name] if name in ERRORS else RuntimeError("secret detail")

    @router.post("/number")
    async def number(body: Body) -> int:
        return body.number

    @router.get("/echo")
    async def echo() -> dict[str, Any]:
        return {"id": request_id.get(), "left": remaining(1000.0)}

    @router.get("/slow")
    async def slow() -> str:
        await asyncio.sleep(0.5)
        return "done"

    return Service(
        name="toy",
        settings=settings or ToySettings(),
        routers=(RestBinding(router, Role.RUN),),
        rpcs=(
            RpcBinding(add_SandboxServiceServicer_to_server, ToyServicer(), "mentor.rpc.v1.SandboxService", Role.RUN),
        ),
        checks={"toy": lambda: ready[0] if ready else None},
        **options,
    )


@asynccontextmanager
async def serving(service: Service) -> AsyncIterator[tuple[httpx.AsyncClient, Any, Server]]:
    async with (
        running(service) as server,
        httpx.AsyncClient(base_url=server.http_url, trust_env=False) as client,
        grpc.aio.insecure_channel(str(server.grpc_target)) as channel,
    ):
        yield client, channel, server


def execute(channel: Any, tool: str, **options: Any) -> Any:
    stub: Any = SandboxServiceStub(channel)
    return stub.Execute(pb.ExecuteRequest(call=pb.ToolCall(tool=tool)), timeout=20, **options)
