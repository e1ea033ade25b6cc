"""Curves of a training run, from its job's events: what each step reported, alarms, and evaluations beside it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from mentor.jobs.model import Job

GROUPS = (
    ("Reward", ("reward", "correctness", "alignment", "validation")),
    ("Tools", ("usage_rate", "invalid_rate")),
    ("Calls per question", ("calls_per_question",)),
    ("KL", ("kl",)),
    ("Entropy", ("entropy",)),
    ("Length of responses", ("response_length",)),
    ("Loss", ("loss",)),
    ("Gradient's norm", ("grad_norm",)),
    ("Probabilities, rollout and trainer", ("logprob_gap", "logprob_diff_max")),
    ("Groups without a signal", ("groups_without_signal",)),
    ("Seconds per step", ("step_seconds",)),
    ("Infrastructure failures", ("infrastructure_failures",)),
)
"""Charts, and the figures in each. What a run reports beyond them is drawn in charts of its own."""
_NO_FIGURES = ("step", "total")


def curves(job: Job, blocks: Iterable[tuple[int, bytes]]) -> dict[str, Any]:
    """Everything that the charts of one run need.

    A step that was done twice (by an attempt that went on from a checkpoint) counts as it was done last.
    """
    points: dict[int, dict[str, Any]] = {}
    alarms: list[dict[str, Any]] = []
    last = 0
    for sequence, block in blocks:
        last = sequence
        kind, event = read(block)
        if kind == "progress" and (point := point_of(event)) is not None:
            points[point["step"]] = point
        elif kind == "log" and event.get("alarm"):
            step = max(points, default=0)
            alarms.append({"step": step, "name": str(event["alarm"]), "message": str(event.get("message", ""))})
    return {
        "job": job.id, "state": str(job.state), "last": last, "points": [points[step] for step in sorted(points)],
        "alarms": alarms, "groups": [{"title": title, "names": names} for title, names in GROUPS], "evaluations": [],
        "best_step": (job.result or {}).get("best_step"), "save_freq": job.spec.get("save_freq"),
    }  # fmt: skip


def read(block: bytes) -> tuple[str, dict[str, Any]]:
    """Type and data of an event."""
    fields: dict[str, str] = {}
    for line in block.decode("utf-8", "replace").splitlines():
        name, _, value = line.partition(":")
        fields[name] = fields.get(name, "") + value.removeprefix(" ")
    try:
        data = json.loads(fields.get("data", ""))
    except (ValueError, RecursionError):
        data = {}
    return fields.get("event", ""), data if isinstance(data, dict) else {}


def point_of(event: dict[str, Any]) -> dict[str, Any] | None:
    """A step's figures; None where the event is of no step."""
    metrics = event.get("metrics")
    if not isinstance(metrics, dict) or not isinstance(metrics.get("step"), int):
        return None
    figures = {k: v for k, v in metrics.items() if isinstance(v, int | float) and k not in _NO_FIGURES}
    phases = metrics.get("phases")
    return {"step": metrics["step"], "metrics": figures, "phases": phases if isinstance(phases, dict) else {}}


def evaluations_of(text: str) -> list[dict[str, Any]]:
    """Evaluations of checkpoints: step, accuracies, and the job that has their intervals."""
    found = []
    for line in text.splitlines():
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict) and isinstance(row.get("step"), int):
            found.append(row)
    return found
