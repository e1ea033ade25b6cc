"""Server. What the sandbox counts. Labels come from closed sets and the registry only: clients cannot make new series."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from mentor_sandbox.results import Status

_BUCKETS = (
    *(0.00025, 0.0005, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064),
    *(0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 60.0),
)
_KILLS = frozenset({"timeout", "scratch", "cancelled", "died", "protocol"})
_REASONS = _KILLS | {
    "calls",
    "surplus",
    "long",
    "memory",
    "output",
    "streams",
    "builtins",
    "leftovers",
    "zygote",
    "root",
}
States = Callable[[], dict[tuple[str, ...], int]]


class SandboxMetrics:
    """Calls by lane, tool and status; durations; what was refused, killed and recycled."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
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
        self._kills = Counter(
            "mentor_sandbox_kills_total",
            "Processes of calls that were killed, or died without an answer (cause died).",
            ("cause",),
            registry=registry,
        )
        self._recycled = Counter(
            "mentor_sandbox_worker_restarts_total",
            "Warm workers that were replaced.",
            ("kind", "reason"),
            registry=registry,
        )
        self._counts: dict[tuple[str, str, str], Any] = {}
        self._durations: dict[str, Any] = {}

    def gauge(self, name: str, text: str, value: Callable[[], float]) -> None:
        """A gauge that is read when it is asked for."""
        Gauge(name, text, registry=self._registry).set_function(value)

    def states(self, name: str, text: str, labels: tuple[str, ...], states: States) -> None:
        """A gauge for each of a changing set of states."""
        self._registry.register(_States(name, text, labels, states))

    def count(self, lane: str, tool: str, status: Status, seconds: float | None) -> None:
        """One call ended."""
        key = (lane, tool, status.value)
        counter = self._counts.get(key)
        if counter is None:
            counter = self._counts[key] = self.calls.labels(*key)
        counter.inc()
        if seconds is not None:
            duration = self._durations.get(lane)
            if duration is None:
                duration = self._durations[lane] = self.seconds.labels(lane)
            duration.observe(seconds)

    def killed(self, cause: str) -> None:
        """A call's process was killed, or died."""
        self._kills.labels(cause).inc()

    def recycled(self, kind: str, reason: str) -> None:
        """A warm worker ended and is replaced."""
        self._recycled.labels(kind, reason if reason in _REASONS else "other").inc()
        if reason in _KILLS:
            self.killed(reason)


class _States(Collector):
    """See ``SandboxMetrics.states``."""

    def __init__(self, name: str, text: str, labels: tuple[str, ...], states: States) -> None:
        self._name, self._text, self._labels, self._states = name, text, labels, states

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The present state."""
        family = GaugeMetricFamily(self._name, self._text, labels=self._labels)
        for labels, number in sorted(self._states().items()):
            family.add_metric(list(labels), number)
        yield family
