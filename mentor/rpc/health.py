"""Ask a service whether it is there, is what it should be, and takes work; costs it no call."""

from __future__ import annotations

import grpc
import httpx
from grpc_health.v1 import health_pb2, health_pb2_grpc

from mentor.errors import InfrastructureError, UserError
from mentor.rpc.channels import grpc_channel, http_client, is_http
from mentor.rpc.retry import RetryPolicy, with_retries


async def require_ready(endpoint: str, service: str, policy: RetryPolicy) -> None:
    """Return once the service of that name (``sandbox``, ``retriever``) is ready at a URL or gRPC target.

    Raises:
        InfrastructureError: nothing answers, or it is not ready, within the policy.
        UserError: something else answers.
    """
    probe = _over_http if is_http(endpoint) else _over_grpc
    await with_retries(lambda left: probe(endpoint, service, left), policy)


async def _over_http(url: str, service: str, timeout_s: float) -> None:
    async with http_client(url) as client:
        try:
            name = (await client.get("/health", timeout=timeout_s)).json().get("service")
            ready = (await client.get("/ready", timeout=timeout_s)).status_code == 200
        except httpx.HTTPError as error:
            raise InfrastructureError(f"cannot reach {url}: {error or type(error).__name__}") from error
        except (ValueError, AttributeError):
            name, ready = None, False
    _judge(url, service, known=name == service, ready=ready)


async def _over_grpc(target: str, service: str, timeout_s: float) -> None:
    async with grpc_channel(target) as channel:
        request = health_pb2.HealthCheckRequest(service=f"mentor.rpc.v1.{service.capitalize()}Service")
        try:
            reply = await health_pb2_grpc.HealthStub(channel).Check(request, timeout=timeout_s)
        except grpc.aio.AioRpcError as error:
            if error.code() in (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.UNIMPLEMENTED):
                _judge(target, service, known=False, ready=False)
            raise InfrastructureError(f"cannot reach {target}: {error.details()}") from error
    _judge(target, service, known=True, ready=reply.status == health_pb2.HealthCheckResponse.SERVING)


def _judge(endpoint: str, service: str, *, known: bool, ready: bool) -> None:
    if not known:
        raise UserError(f"{endpoint} does not answer as a {service}", field=f"{service}_url")
    if not ready:
        raise InfrastructureError(f"the {service} at {endpoint} is not ready")
