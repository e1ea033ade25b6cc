"""Rollout statistics of one step, from the rewards' extra information and the trajectories themselves."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from mentor.trajectory import Trajectory

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


def trajectory_metrics(trajectories: Sequence[Trajectory], infos: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """What the structured trajectories of a step tell beside their rewards.

    ``mentor/termination/NAME``: share of trajectories that ended so. ``mentor/tool/NAME``: calls of a tool that exists.
    ``mentor/tool_wait_share``: of the trajectories' seconds, those in which tools ran (the calls of a turn run together: the
    longest counts). ``mentor/groups_without_signal``: share of questions whose samples were all rewarded alike, so that every
    advantage is 0.

    Args:
        trajectories: those of the step.
        infos: ``reward.extra_info`` of each, in the same order.
    """
    if not trajectories:
        return {}
    ends = Counter(str(trajectory.termination) for trajectory in trajectories)
    tools = Counter(seen.name for t in trajectories for seen in t.observations if seen.executed)
    waited = sum(max((o.duration_ms for o in turn.observations), default=0.0) for t in trajectories for turn in t.turns)
    lasted = sum(trajectory.duration_s for trajectory in trajectories)
    groups: dict[str, set[float]] = defaultdict(set)
    for trajectory, info in zip(trajectories, infos, strict=True):
        if not info.get("excluded", 1.0):
            groups[trajectory.question_id].add(round(info["total"], 9))
    silent = sum(len(totals) == 1 for totals in groups.values())
    return {
        **{f"mentor/termination/{name}": count / len(trajectories) for name, count in sorted(ends.items())},
        **{f"mentor/tool/{name}": float(count) for name, count in sorted(tools.items())},
        "mentor/tool_wait_share": waited / 1000 / lasted if lasted else 0.0,
        "mentor/groups_without_signal": silent / len(groups) if groups else 0.0,
    }


def _mean(infos: Sequence[Mapping[str, float]], name: str) -> float:
    return float(np.mean([info.get(name, 0.0) for info in infos]))
