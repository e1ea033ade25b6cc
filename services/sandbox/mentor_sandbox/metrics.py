"""What the sandbox counts."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from mentor.serving.admission import Admission
from mentor_sandbox.results import Status

_BUCKETS = (0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 60.0)


class SandboxMetrics:
    """Calls by lane, tool and status; durations; what waits and runs; what was refused."""

    def __init__(self, registry: CollectorRegistry, admission: Admission) -> None:
        self.calls = Counter(
            "mentor_sandbox_calls_total", "Calls by outcome.", ("lane", "tool", "status"), registry=registry
        )
        self.seconds = Histogram(
            "mentor_sandbox_call_duration_seconds",
            "Call duration, waiting included.",
            ("lane",),
            buckets=_BUCKETS,
            registry=registry,
        )
        self.refused = Counter("mentor_sandbox_refused_total", "Calls refused by a full queue.", registry=registry)
        queue = Gauge("mentor_sandbox_queue_depth", "Calls waiting for a slot.", registry=registry)
        queue.set_function(lambda: admission.waiting)
        running = Gauge("mentor_sandbox_calls_in_flight", "Calls running.", registry=registry)
        running.set_function(lambda: admission.running)

    def count(self, lane: str, tool: str, status: Status, seconds: float | None) -> None:
        """One call ended."""
        self.calls.labels(lane, tool, status.value).inc()
        if seconds is not None:
            self.seconds.labels(lane).observe(seconds)
