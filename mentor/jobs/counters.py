"""Counters that outlive the processes that count: a job runs in a process of its own, perhaps on another machine.

They live in Redis, one hash per name, and any replica of the service exports the same numbers.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Final

from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from mentor.errors import InfrastructureError
from mentor.jobs.store import JobStore

FAMILIES: Final = {
    "mentor_trajectories": ("Trajectories drawn by jobs, by how they ended.", ("kind", "termination", "correct")),
    "mentor_tool_calls": ("Tool calls in trajectories of jobs, by outcome.", ("kind", "tool", "outcome")),
    "mentor_model_server_starts": ("Model servers of jobs that came to serve.", ("kind", "engine")),
    "mentor_model_server_start_seconds": ("Seconds until they served, in sum.", ("kind", "engine")),
    "mentor_model_server_restarts": ("Model servers of jobs started again, by reason.", ("kind", "engine", "reason")),
    "mentor_model_server_tokens": ("Tokens that model servers of jobs counted.", ("kind", "engine", "direction")),
    "mentor_model_requests": (
        "Requests that jobs made of model endpoints, by outcome.",
        ("kind", "endpoint", "outcome"),
    ),
    "mentor_model_request_seconds": ("Seconds of those that were answered, in sum.", ("kind", "endpoint")),
    "mentor_model_tokens": (
        "Tokens of answered requests, as the endpoints count them.",
        ("kind", "endpoint", "direction"),
    ),
    "mentor_model_faults": ("What model endpoints did wrong, by its name.", ("kind", "endpoint", "fault")),
    "mentor_model_breaker_opened": (
        "Times that an endpoint was left alone, by reason.",
        ("kind", "endpoint", "reason"),
    ),
    "mentor_budgets_used": ("Jobs that stopped drawing because a budget was used up.", ("kind", "budget")),
    "mentor_teacher_fates": ("Trajectories of teacher jobs: kept, surplus, lost, or a filter's.", ("kind", "fate")),
    "mentor_training_steps": ("Training steps done by jobs.", ("kind",)),
}
"""Counters and their labels; Prometheus appends ``_total``. Others are refused, so that none is forgotten in dashboards."""


def counter(kind: str, name: str, labels: Mapping[str, str]) -> tuple[str, str]:
    """The counter of ``FAMILIES`` and the field in it that these labels mean; ``kind`` is filled in."""
    given = {"kind": kind, **labels}
    return name, json.dumps([given[label] for label in FAMILIES[name][1]])


class CounterCollector(Collector):
    """Exports the counters of some kinds, read at each scrape."""

    def __init__(self, store: JobStore, kinds: Iterable[str]) -> None:
        self._store = store
        self._kinds = frozenset(kinds)

    def describe(self) -> Iterable[Metric]:
        """Names only: Redis may not be up at registration."""
        return [CounterMetricFamily(name, text, labels=labels) for name, (text, labels) in FAMILIES.items()]

    def collect(self) -> Iterable[Metric]:
        for name, (text, labels) in FAMILIES.items():
            family = CounterMetricFamily(name, text, labels=labels)
            for values, count in self._read(name):
                if values[0] in self._kinds:
                    family.add_metric(values, count)
            yield family

    def _read(self, name: str) -> list[tuple[list[str], float]]:
        try:
            found = self._store.counts(name)
        except InfrastructureError:
            return []
        return [(json.loads(field), count) for field, count in found.items()]
