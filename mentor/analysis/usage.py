"""Tool statistics of a set of trajectories. Infrastructure failures are counted apart and enter no rate."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from mentor.tools import WIKIPEDIA_SEARCH
from mentor.trajectory import Frozen, Trajectory


class ToolUsage(Frozen):
    """How a model used its tools.

    ``usage_rate``: share of trajectories with at least one call that reached a tool. ``invalid_rate``: share of calls that
    failed, the model's fault or the tool's (0 where there are none). ``invalid_trajectory_rate``: share of trajectories
    with such a call. ``calls_per_question``: calls, failed ones included, per trajectory.
    """

    trajectories: int
    infrastructure_failures: int
    calls: int
    usage_rate: float
    invalid_rate: float
    invalid_trajectory_rate: float
    calls_per_question: float
    turns_per_question: float
    by_tool: dict[str, int]
    errors: dict[str, int]
    terminations: dict[str, int]


def tool_usage(trajectories: Sequence[Trajectory]) -> ToolUsage:
    """Statistics over trajectories; all rates are 0 for an empty sequence."""
    kept = [t for t in trajectories if not t.failed]
    observations = [o for t in kept for o in t.observations]
    bad = [o for o in observations if not o.ok]
    n = max(1, len(kept))
    return ToolUsage(
        trajectories=len(kept),
        infrastructure_failures=len(trajectories) - len(kept),
        calls=len(observations),
        usage_rate=sum(bool(t.attempted_names) for t in kept) / n,
        invalid_rate=len(bad) / max(1, len(observations)),
        invalid_trajectory_rate=sum(any(not o.ok for o in t.observations) for t in kept) / n,
        calls_per_question=len(observations) / n,
        turns_per_question=sum(len(t.turns) for t in kept) / n,
        by_tool=dict(Counter(name for t in kept for name in t.attempted_names).most_common()),
        errors=dict(Counter(o.error_type or "unknown" for o in bad).most_common()),
        terminations=dict(Counter(str(t.termination) for t in trajectories).most_common()),
    )


def executed_by_backend(trajectories: Iterable[Trajectory]) -> Counter[str]:
    """Calls that reached a tool, by the service that ran them: ``retriever`` (wikipedia_search) or ``sandbox``."""
    return Counter(
        "retriever" if seen.name == WIKIPEDIA_SEARCH.name else "sandbox"
        for trajectory in trajectories
        for seen in trajectory.observations
        if seen.executed
    )
