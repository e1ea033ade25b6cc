"""The gRPC side of a service: the servicers it brings, with health, reflection, typed errors, metrics and auth."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

import grpc
import structlog
from google.protobuf.message import DecodeError
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_health.v1._async import HealthServicer
from grpc_reflection.v1alpha import reflection

from mentor.errors import MentorError, UserError
from mentor.rpc.channels import read_pem
from mentor.rpc.context import (
    REQUEST_ID_HEADER,
    TRACE_HEADER,
    accept_request_id,
    deadline,
    request_id,
    trace_id_of,
)
from mentor.rpc.errors import grpc_code, grpc_trailers
from mentor.rpc.principal import ANYONE, Role, caller
from mentor.rpc.tracing import server_span
from mentor.serving.access import Door
from mentor.serving.metrics import RequestMetrics
from mentor.serving.service import Service
from mentor.serving.settings import ServiceSettings

log = structlog.get_logger("grpc")
_OPEN_PREFIXES = ("/grpc.health.", "/grpc.reflection.")


def create_grpc_server(service: Service) -> tuple[grpc.aio.Server, HealthServicer]:
    """A server with every servicer bound; the caller adds the port and starts it."""
    settings = service.settings
    options = [
        ("grpc.so_reuseport", 0),
        ("grpc.max_receive_message_length", settings.max_request_bytes),
        ("grpc.max_send_message_length", -1),
    ]
    roles = {binding.full_name: binding.role for binding in service.rpcs}
    interceptor = RequestInterceptor(service.metrics, service.door, roles, settings.access_log)
    server = grpc.aio.server(interceptors=[interceptor], options=options)
    for binding in service.rpcs:
        binding.add(binding.servicer, server)
    checks = HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(checks, server)
    names = (*(b.full_name for b in service.rpcs), health.SERVICE_NAME, reflection.SERVICE_NAME)
    reflection.enable_server_reflection(names, server)
    return server, checks


def server_credentials(settings: ServiceSettings) -> grpc.ServerCredentials | None:
    """TLS of the gRPC port, mutual where a CA for clients is given; None for plaintext.

    Raises:
        UserError: a file cannot be read.
    """
    if settings.grpc_tls_cert is None or settings.grpc_tls_key is None:
        return None
    pair = (read_pem(settings.grpc_tls_key, "grpc_tls_key"), read_pem(settings.grpc_tls_cert, "grpc_tls_cert"))
    ca = read_pem(settings.grpc_tls_ca, "grpc_tls_ca") if settings.grpc_tls_ca else None
    return grpc.ssl_server_credentials([pair], root_certificates=ca, require_client_auth=ca is not None)


async def set_serving(service: Service, checks: HealthServicer) -> None:
    """Make gRPC's health service say what readiness says."""
    status = health_pb2.HealthCheckResponse
    state = status.NOT_SERVING if service.readiness.reasons() else status.SERVING
    for name in ("", *(binding.full_name for binding in service.rpcs)):
        await checks.set(name, state)


class RequestInterceptor(grpc.aio.ServerInterceptor):  # type: ignore[type-arg]  # generic in its stubs only
    """Gives every call its id and deadline, opens the door, maps typed errors to statuses, counts and logs."""

    def __init__(self, metrics: RequestMetrics, door: Door, roles: Mapping[str, Role], access_log: bool) -> None:
        self._metrics = metrics
        self.door = door
        self._roles = dict(roles)
        self._access_log = access_log

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Any, Any]]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        """Wrap unary and server-streaming handlers; the project has no client-streaming ones."""
        handler: Any = await continuation(handler_call_details)
        method = handler_call_details.method
        if handler is None or method.startswith(_OPEN_PREFIXES):
            return handler
        serializers = {
            "request_deserializer": _tolerant(handler.request_deserializer),
            "response_serializer": handler.response_serializer,
        }
        if handler.unary_unary:
            return grpc.unary_unary_rpc_method_handler(self._unary(method, handler.unary_unary), **serializers)
        if handler.unary_stream:
            return grpc.unary_stream_rpc_method_handler(self._stream(method, handler.unary_stream), **serializers)
        return handler

    def _unary(self, method: str, inner: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def call(request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
            async with _Call(self, method, context) as headers:
                with server_span(method, headers):
                    return await inner(_wellformed(request), context)

        return call

    def _stream(self, method: str, inner: Callable[..., AsyncIterator[Any]]) -> Callable[..., AsyncIterator[Any]]:
        async def call(request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> AsyncIterator[Any]:
            async with _Call(self, method, context) as headers:
                with server_span(method, headers):
                    async for item in inner(_wellformed(request), context):
                        yield item

        return call

    def needed(self, method: str) -> Role:
        """The role that ``/package.Service/Method`` asks for."""
        return self._roles[method.split("/")[1]]

    def started(self) -> None:
        """A call begins."""
        self._metrics.in_flight.labels("grpc").inc()

    def finished(self, method: str, code: str, seconds: float, trace: str) -> None:
        """A call ended."""
        self._metrics.in_flight.labels("grpc").dec()
        self._metrics.grpc.labels(method, code).inc()
        self._metrics.grpc_seconds.labels(method).observe(seconds, {"trace_id": trace} if trace else None)
        if self._access_log:
            log.info("call", method=method, code=code, ms=round(seconds * 1000, 2), caller=caller.get().name)


class _Malformed:
    """Stands for a request that cannot be parsed, until the handler's place, where errors are typed."""


def _tolerant(parse: Callable[[bytes], Any] | None) -> Callable[[bytes], Any]:
    """A parser that does not raise: what it raises, gRPC would call UNKNOWN, which says that the fault is ours."""

    def parsed(raw: bytes) -> Any:
        try:
            return raw if parse is None else parse(raw)
        except DecodeError:
            return _Malformed()

    return parsed


def _wellformed(request: Any) -> Any:
    if isinstance(request, _Malformed):
        raise UserError("the bytes sent are not a message of this method's request type", field="request")
    return request


class _Call:
    """What surrounds one call: entered before the handler, left with its outcome."""

    def __init__(self, owner: RequestInterceptor, method: str, context: grpc.aio.ServicerContext[Any, Any]) -> None:
        self._owner = owner
        self._method = method
        self._context = context
        self._admitted: AbstractAsyncContextManager[Any] | None = None

    async def __aenter__(self) -> dict[str, str]:
        metadata = self._context.invocation_metadata() or ()
        headers = {key: value for key, value in metadata if isinstance(value, str)}
        identity = accept_request_id(headers.get(REQUEST_ID_HEADER))
        self._trace = trace_id_of(headers.get(TRACE_HEADER, ""))
        request_id.set(identity)
        caller.set(ANYONE)
        left = self._context.time_remaining()
        deadline.set(None if left is None else time.monotonic() + left)
        self._started = time.perf_counter()
        self._owner.started()
        try:
            await self._context.send_initial_metadata(((REQUEST_ID_HEADER, identity),))
            if not self._owner.door.open:
                admission = self._owner.door.admit(
                    headers.get("authorization", ""), _address(self._context.peer()), self._owner.needed(self._method)
                )
                await admission.__aenter__()
                self._admitted = admission
        except BaseException as error:
            await self.__aexit__(type(error), error, None)
            raise
        return headers

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if self._admitted is not None:
            await self._admitted.__aexit__(None, None, None)
        code = _outcome(error)
        self._owner.finished(self._method, code, time.perf_counter() - self._started, self._trace)
        if isinstance(error, MentorError):
            await self._context.abort(grpc_code(error), str(error), grpc_trailers(error))
        if isinstance(error, Exception) and code == "INTERNAL":
            log.error("unhandled error", method=self._method, exc_info=error)
            message = f"internal error (request id {request_id.get()})"
            await self._context.abort(grpc.StatusCode.INTERNAL, message)


def _address(peer: str) -> str:
    """``ipv4:127.0.0.1:4711`` without its port."""
    return peer.rpartition(":")[0] or peer


def _outcome(error: BaseException | None) -> str:
    if error is None:
        return "OK"
    if isinstance(error, MentorError):
        return error.grpc_status
    if isinstance(error, Exception):
        return "INTERNAL"
    return "CANCELLED"
