"""Counters that outlive the processes that count: a job runs in a process of its own, perhaps on another machine.

They live in Redis, one hash per name, and any replica of the service exports the same numbers.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Final

import redis
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from mentor.errors import InfrastructureError
from mentor.jobs.store import JobStore

FAMILIES: Final = {
    "mentor_trajectories": ("Trajectories drawn by jobs, by how they ended.", ("kind", "termination", "correct")),
    "mentor_tool_calls": ("Tool calls in trajectories of jobs, by outcome.", ("kind", "tool", "outcome")),
    "mentor_training_steps": ("Training steps done by jobs.", ("kind",)),
}
"""Counters and their labels; Prometheus appends ``_total``. Others are refused, so that none is forgotten in dashboards."""


class Counters:
    """Counts for jobs of one kind."""

    def __init__(self, store: JobStore, kind: str) -> None:
        self._store = store
        self._kind = kind

    def add(self, name: str, labels: Mapping[str, str], amount: float = 1.0) -> None:
        """Add to a counter of ``FAMILIES``; ``kind`` is filled in. Raises ``InfrastructureError`` without Redis."""
        given = {"kind": self._kind, **labels}
        field = json.dumps([given[label] for label in FAMILIES[name][1]])
        try:
            self._store.redis.hincrbyfloat(_key(self._store, name), field, amount)
        except redis.RedisError as error:
            raise InfrastructureError(f"Redis: {error}") from error


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
            found: dict[str, str] = self._store.redis.hgetall(_key(self._store, name))  # type: ignore[assignment]
        except redis.RedisError:
            return []
        return [(json.loads(field), float(count)) for field, count in found.items()]


def _key(store: JobStore, name: str) -> str:
    return f"{store.prefix}:counter:{name}"
