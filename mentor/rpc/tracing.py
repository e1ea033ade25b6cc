"""OpenTelemetry spans, if OTEL_EXPORTER_OTLP_ENDPOINT is set; otherwise nothing is imported and nothing is spent."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from mentor.rpc.context import TRACE_HEADER, new_traceparent, trace_id_of, traceparent

_tracer: Any = None


def configure_tracing(service: str) -> None:
    """Export spans of this process over OTLP/gRPC where the standard variable names an endpoint."""
    global _tracer
    if not os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT"):
        return
    from opentelemetry import trace
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider(resource=Resource.create({"service.name": f"mentor-{service}"}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    _tracer = trace.get_tracer("mentor")


@contextmanager
def client_trace(name: str) -> Iterator[str]:
    """The root of a trace, for a command: everything that its calls cause carries one id, which is yielded."""
    with server_span(name, {TRACE_HEADER: "" if _tracer else new_traceparent()}) as trace_id:
        yield trace_id


@contextmanager
def server_span(name: str, headers: Mapping[str, str]) -> Iterator[str]:
    """A span for one request, child of the caller's; its ``traceparent`` travels on with outgoing calls.

    Yields the trace's id, "" without a trace. Without an exporter the caller's trace is passed on as it is.
    """
    if _tracer is None:
        parent_text = headers.get(TRACE_HEADER, "")
        token = traceparent.set(parent_text)
        try:
            yield trace_id_of(parent_text)
        finally:
            traceparent.reset(token)
        return
    from opentelemetry.trace import SpanKind
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    propagator = TraceContextTextMapPropagator()
    parent = propagator.extract(dict(headers))
    with _tracer.start_as_current_span(name, context=parent, kind=SpanKind.SERVER):
        carrier: dict[str, str] = {}
        propagator.inject(carrier)
        token = traceparent.set(carrier.get(TRACE_HEADER, ""))
        try:
            yield trace_id_of(carrier.get(TRACE_HEADER, ""))
        finally:
            traceparent.reset(token)
