"""Prometheus metrics that every service has: rate, errors and duration per route and per RPC method."""

from __future__ import annotations

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)

disable_created_metrics()  # type: ignore[no-untyped-call]  # they double the number of series and nobody reads them
LATENCY_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class RequestMetrics:
    """One registry per service, so that several can live in one process (tests) without sharing numbers."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self.http = Counter(
            "mentor_http_requests_total", "HTTP requests by route.", ("method", "route", "status"), registry=registry
        )
        self.http_seconds = Histogram(
            "mentor_http_request_duration_seconds",
            "HTTP request duration.",
            ("method", "route"),
            buckets=LATENCY_BUCKETS,
            registry=registry,
        )
        self.grpc = Counter(
            "mentor_grpc_requests_total", "gRPC calls by method.", ("method", "code"), registry=registry
        )
        self.grpc_seconds = Histogram(
            "mentor_grpc_request_duration_seconds",
            "gRPC call duration.",
            ("method",),
            buckets=LATENCY_BUCKETS,
            registry=registry,
        )
        self.in_flight = Gauge(
            "mentor_requests_in_flight", "Requests being answered.", ("transport",), registry=registry
        )


def new_registry() -> CollectorRegistry:
    """A registry with the process's own figures in it."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    return registry
