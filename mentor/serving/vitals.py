"""Threads without which a process only seems to work: who died or hangs is a metric, and fails the health check.

``mentor_thread_alive`` is 0 for a thread that has ended, or has not come round for longer than it may take, and
``mentor_thread_errors_total`` counts the rounds that failed and were survived.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable

import structlog
from prometheus_client import CollectorRegistry, Counter
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

log = structlog.get_logger("threads")
Probe = Callable[[], str | None]
"""None if all is well, else what is wrong, in one line. Must neither wait nor raise."""


class Vitals(Collector):
    """What is watched in a process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._probes: dict[str, Probe] = {}
        self._errors = Counter(
            "mentor_thread_errors", "Rounds of a background thread that failed", ["thread"], registry=registry
        )
        registry.register(self)

    def watch(self, name: str, probe: Probe) -> None:
        """From now on the process is ill whenever the probe says so.

        The first word of the name is its label in metrics, the rest tells several of a kind apart.
        """
        self._probes[name] = probe

    def unwatch(self, name: str) -> None:
        """It has ended as it should."""
        self._probes.pop(name, None)

    def failed(self, name: str, rounds: int = 1) -> None:
        """Count rounds that failed and were survived."""
        self._errors.labels(_label(name)).inc(rounds)

    def ill(self) -> dict[str, str]:
        """What is wrong, by thread; empty if all is well."""
        return {name: reason for name, probe in list(self._probes.items()) if (reason := probe()) is not None}

    def check(self) -> str | None:
        """The same as one line, for readiness."""
        return "; ".join(f"{name} {reason}" for name, reason in self.ill().items()) or None

    def describe(self) -> Iterable[Metric]:
        """Names only."""
        return [GaugeMetricFamily("mentor_thread_alive", "1 if a background thread does its work", labels=["thread"])]

    def collect(self) -> Iterable[Metric]:
        ill = self.ill()
        family = GaugeMetricFamily("mentor_thread_alive", "1 if a background thread does its work", labels=["thread"])
        alive = {_label(name): 1.0 for name in list(self._probes)} | {_label(name): 0.0 for name in ill}
        for label, value in alive.items():
            family.add_metric([label], value)
        return [family]


def _label(name: str) -> str:
    return name.split()[0]


class Rounds(threading.Thread):
    """A thread that does one thing again and again. A round that raises is logged and counted; the next one comes.

    Args:
        every_s: seconds between rounds.
        patience_s: seconds after which a round that has not ended is taken for hanging.
    """

    def __init__(self, name: str, work: Callable[[], object], *, every_s: float, patience_s: float = 300.0) -> None:
        super().__init__(name=f"mentor-{name}", daemon=True)
        self.label = name
        self._work = work
        self._every_s = every_s
        self._patience_s = patience_s
        self._vitals: Vitals | None = None
        self._stopped = threading.Event()
        self._came_round = time.monotonic()

    def watched_by(self, vitals: Vitals) -> None:
        """Report to ``vitals``; to be called before ``start``."""
        self._vitals = vitals
        vitals.watch(self.label, self.ails)
        vitals.failed(self.label, 0)  # the series is there before the first failure

    def run(self) -> None:
        self._came_round = time.monotonic()
        while not self._stopped.wait(self._every_s):
            try:
                self._work()
            except Exception:  # whatever it was, the next round may do better, and nobody else does this work
                log.exception("a round failed", thread=self.label)
                if self._vitals:
                    self._vitals.failed(self.label)
            self._came_round = time.monotonic()

    def stop(self, wait_s: float = 10.0) -> None:
        """Ask the thread to end, and wait for it."""
        if self._vitals:
            self._vitals.unwatch(self.label)
        self._stopped.set()
        if self.is_alive():
            self.join(timeout=wait_s)

    def ails(self) -> str | None:
        """Why the work is not being done, or None."""
        if self.ident is not None and not self.is_alive():
            return "has ended"
        silent = time.monotonic() - self._came_round
        if self.ident is not None and silent > self._every_s + self._patience_s:
            return f"has not come round for {silent:.0f} s"
        return None
