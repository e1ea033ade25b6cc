"""Rollout statistics of one step, from the rewards' extra information."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

_SUMS = ("sandbox_calls", "retriever_calls")
_MEANS = ("correctness", "alignment", "validation", "overlong", "answered")


def rollout_metrics(infos: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Metrics named ``mentor/...`` over the samples of a step; those lost to infrastructure are counted apart.

    Args:
        infos: ``reward.extra_info`` of every sample.
    """
    kept = [info for info in infos if not info.get("excluded", 1.0)]
    metrics = {"mentor/samples": float(len(infos)), "mentor/infrastructure_failures": float(len(infos) - len(kept))}
    if not kept:
        return metrics
    totals = np.array([info["total"] for info in kept])
    calls = sum(info["calls"] for info in kept)
    metrics |= {
        "mentor/reward": float(totals.mean()),
        "mentor/reward_std": float(totals.std()),
        "mentor/usage_rate": _mean(kept, "used_tool"),
        "mentor/invalid_rate": sum(info["invalid_calls"] for info in kept) / max(1.0, calls),
        "mentor/calls_per_question": calls / len(kept),
        "mentor/turns_per_question": _mean(kept, "turns"),
    }
    metrics |= {f"mentor/{name}": float(sum(info.get(name, 0.0) for info in kept)) for name in _SUMS}
    return metrics | {f"mentor/{name}": _mean(kept, name) for name in _MEANS if name in kept[0]}


def _mean(infos: Sequence[Mapping[str, float]], name: str) -> float:
    return float(np.mean([info.get(name, 0.0) for info in infos]))
