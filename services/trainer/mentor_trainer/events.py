"""Follow a run's metrics: from verl's JSON lines to progress events and a Prometheus text file."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, Gauge, write_to_textfile
from pydantic import Field

from mentor.data.files import unwritable
from mentor.trajectory import Frozen

REPORTED = {
    "reward": "mentor/reward",
    "reward_std": "mentor/reward_std",
    "correctness": "mentor/correctness",
    "alignment": "mentor/alignment",
    "validation": "mentor/validation",
    "invalid_rate": "mentor/invalid_rate",
    "usage_rate": "mentor/usage_rate",
    "calls_per_question": "mentor/calls_per_question",
    "sandbox_calls": "mentor/sandbox_calls",
    "retriever_calls": "mentor/retriever_calls",
    "infrastructure_failures": "mentor/infrastructure_failures",
    "kl": "actor/kl_loss",
    "entropy": "actor/entropy",
    "grad_norm": "actor/grad_norm",
    "lr": "actor/lr",
    "loss": "actor/loss",
    "response_length": "response_length/mean",
    "logprob_diff_max": "training/rollout_probs_diff_max",
    "logprob_gap": "training/rollout_probs_diff_mean",
    "clip_fraction": "actor/pg_clipfrac",
    "groups_without_signal": "mentor/groups_without_signal",
    "tool_wait_share": "mentor/tool_wait_share",
    "samples": "mentor/samples",
    "tokens_per_s": "perf/throughput",
    "mfu": "perf/mfu/actor",
    "gpu_memory_gb": "perf/max_memory_allocated_gb",
    "memory_gb": "perf/cpu_memory_used_gb",
    "step_seconds": "timing_s/step",
}
"""Names in events and Prometheus, and the metrics they are read from."""
LABELLED = {"termination": "mentor/termination/", "tool_calls": "mentor/tool/"}
"""As ``REPORTED``, for those that have one value for each name: the prefix that the metrics share."""
_SHOWN = ("reward", "correctness", "invalid_rate", "usage_rate", "loss")


class TrainEvent(Frozen):
    """One finished step. ``metrics`` are those of ``REPORTED`` that the step had."""

    step: int
    total_steps: int
    metrics: dict[str, float]
    phases: dict[str, float] = Field(default_factory=dict)
    """Seconds per phase of the step."""
    labelled: dict[str, dict[str, float]] = Field(default_factory=dict)
    """Those of ``LABELLED``, by name."""

    @property
    def fraction(self) -> float:
        """Done share of the run."""
        return min(1.0, self.step / max(1, self.total_steps))

    @property
    def message(self) -> str:
        """One line for a progress bar."""
        shown = [f"{name} {self.metrics[name]:.3f}" for name in _SHOWN if name in self.metrics]
        return f"step {self.step}/{self.total_steps}" + (f": {', '.join(shown)}" if shown else "")


class MetricsFollower:
    """Reads a growing file of ``{"step": n, "data": {...}}`` lines from where it left off."""

    def __init__(self, path: Path, total_steps: int) -> None:
        self.path = path
        self.total_steps = total_steps
        self._offset = 0

    def read(self) -> Iterator[TrainEvent]:
        """Events of the lines that were completed since the last call."""
        if not self.path.is_file():
            return
        with self.path.open("rb") as stream:
            stream.seek(self._offset)
            for line in stream:
                if not line.endswith(b"\n"):
                    return
                self._offset += len(line)
                record = json.loads(line)
                if "training/global_step" in record["data"]:  # validation before the first step has a line of its own
                    yield event_of(record["step"], record["data"], self.total_steps)


def event_of(step: int, data: dict[str, Any], total_steps: int) -> TrainEvent:
    """The event of one step's metrics; numbers that are not finite are left out."""
    metrics = {n: float(data[key]) for n, key in REPORTED.items() if _finite(data.get(key))}
    labelled = {name: found for name, prefix in LABELLED.items() if (found := _under(prefix, data))}
    phases = _under("timing_s/", data)
    return TrainEvent(step=step, total_steps=total_steps, metrics=metrics, phases=phases, labelled=labelled)


def _under(prefix: str, data: dict[str, Any]) -> dict[str, float]:
    """The finite numbers whose names begin so, by the rest of their names."""
    return {k.removeprefix(prefix): float(v) for k, v in data.items() if k.startswith(prefix) and _finite(v)}


def _finite(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def write_prometheus(event: TrainEvent, run: str, path: Path) -> None:
    """The step as a Prometheus text file, replaced whole, for a textfile collector or the service's ``/metrics``.

    Raises:
        UserError: it cannot be written.
    """
    registry = CollectorRegistry()

    def gauge(name: str, help_text: str, value: float, /, **labels: str) -> None:
        known = _gauges.get(name)
        if known is None:
            known = _gauges[name] = Gauge(name, help_text, ["run", *labels], registry=registry)
        known.labels(run=run, **labels).set(value)

    _gauges: dict[str, Gauge] = {}
    gauge("mentor_training_step", "Steps finished.", event.step)
    gauge("mentor_training_total_steps", "Steps of the whole run.", event.total_steps)
    for name, value in event.metrics.items():
        if name in ("correctness", "alignment", "validation"):
            gauge("mentor_training_reward_component", "Mean reward component of the step.", value, component=name)
        else:
            gauge(f"mentor_training_{name}", f"{REPORTED[name]} of the last step.", value)
    for name, values in event.labelled.items():
        for label, value in values.items():
            gauge(f"mentor_training_{name}", f"{LABELLED[name]}... of the last step, by name.", value, name=label)
    for phase, seconds in event.phases.items():
        gauge("mentor_training_phase_seconds", "Seconds of the last step, by phase.", seconds, phase=phase)
    try:
        write_to_textfile(str(path), registry)
    except OSError as error:
        raise unwritable(path, error) from error
