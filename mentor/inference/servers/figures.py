"""What a managed server counts of tokens, read from its ``/metrics`` and told as the job's own figures."""

from __future__ import annotations

import time
from collections.abc import Mapping

from prometheus_client.parser import text_string_to_metric_families

from mentor.inference.servers.watch import Watch


def totals(exposition: str, names: Mapping[str, str]) -> dict[str, float]:
    """The sum of each counter over its labels, by ``prompt`` and ``generated``; what is missing is left out.

    Raises:
        ValueError: it is no exposition of Prometheus.
    """
    wanted = {name: direction for direction, name in names.items()}
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(exposition):
        for sample in family.samples:
            if sample.name in wanted:
                direction = wanted[sample.name]
                found[direction] = found.get(direction, 0.0) + sample.value
    return found


class TokenFigures:
    """Turns a server's totals into increments; one that was restarted counts from 0 again."""

    def __init__(self, engine: str, watch: Watch) -> None:
        self._engine = engine
        self._watch = watch
        self._before: dict[str, float] = {}
        self._when = time.monotonic()

    def paused(self) -> None:
        """It serves no longer, so that it has no rate."""
        if self._before:
            self._watch.tell("", **{_rate(direction): 0.0 for direction in self._before})

    def restarted(self) -> None:
        """The next totals begin at 0."""
        self._before, self._when = {}, time.monotonic()

    def take(self, now: Mapping[str, float]) -> None:
        """Count what has come since the last totals, and tell the rate."""
        seconds = max(1e-3, time.monotonic() - self._when)
        rates = {}
        for direction, total in now.items():
            more = max(0.0, total - self._before.get(direction, 0.0))
            rates[_rate(direction)] = round(more / seconds, 1)
            if more:
                self._watch.count("mentor_model_server_tokens", more, engine=self._engine, direction=direction)
        self._before, self._when = dict(now), time.monotonic()
        if rates:
            self._watch.tell("", **rates)


def _rate(direction: str) -> str:
    return f"{direction}_tokens_per_s"
