"""The training metrics that are kept of every step, read from a training job's ``metrics.jsonl``."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from mentor.data.files import json_lines

METRICS = "metrics.jsonl"
_KEPT = {
    "reward": "mentor/reward",
    "reward_std": "mentor/reward_std",
    "correctness": "mentor/correctness",
    "alignment": "mentor/alignment",
    "validation": "mentor/validation",
    "answered": "mentor/answered",
    "usage_rate": "mentor/usage_rate",
    "invalid_rate": "mentor/invalid_rate",
    "calls_per_question": "mentor/calls_per_question",
    "turns_per_question": "mentor/turns_per_question",
    "groups_without_signal": "mentor/groups_without_signal",
    "infrastructure_failures": "mentor/infrastructure_failures",
    "samples": "mentor/samples",
    "response_tokens": "response_length/mean",
    "entropy": "actor/entropy",
    "kl": "actor/kl_loss",
    "loss": "actor/loss",
    "grad_norm": "actor/grad_norm",
    "lr": "actor/lr",
    "token_accuracy": "sft/token_accuracy",
    "tokens_seen": "sft/tokens_seen",
    "seconds": "timing_s/step",
    "gen_seconds": "timing_s/gen",
    "update_seconds": "timing_s/update_actor",
}
"""Names in records, and the trainer's. ``response_tokens``: mean of a trajectory, with what its tools said."""
_DIGITS = 6


def training_steps(path: Path) -> tuple[dict[str, float], ...]:
    """One mapping a step: ``step``, and of the metrics above those that it has, to six significant digits.

    ``other_seconds``: the step's seconds that neither sampling nor the update took. Without a file: no steps.
    """
    if not path.is_file():
        return ()
    lines = (line.value for line in json_lines(path, METRICS))
    return tuple(_step(line["step"], line["data"]) for line in lines if "training/global_step" in line["data"])


def generated_in_training(path: Path) -> float:
    """Tokens of all responses of a run's steps, their tools' words included: the trainer counts them together."""
    return sum(step.get("samples", 0.0) * step.get("response_tokens", 0.0) for step in training_steps(path))


def _step(number: int, data: dict[str, Any]) -> dict[str, float]:
    step = {name: _short(data[key]) for name, key in _KEPT.items() if _finite(data.get(key))}
    if "seconds" in step and "gen_seconds" in step:
        rest = step["seconds"] - step["gen_seconds"] - step.get("update_seconds", 0.0)
        step["other_seconds"] = _short(rest)
    return {"step": float(number), **step}


def _short(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")


def _finite(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
