"""Trajectories with a call that never reached a tool: malformed, of an unknown tool, with invalid arguments, without a
result.
"""

from __future__ import annotations

from collections.abc import Sequence

from mentor.trajectory import Trajectory
from mentor_teacher.filters import Candidate, Explained, FilterUse, Why


class _UnexecutedCalls(Explained[FilterUse]):
    name = "unexecuted_calls"
    summary = "drops what has a call that never reached a tool"

    def drops(self, candidates: Sequence[Candidate], options: FilterUse) -> list[Why]:
        return [_why(candidate.trajectory) for candidate in candidates]


def _why(trajectory: Trajectory) -> Why:
    for call, seen in trajectory.pairs():
        if not seen.executed:
            return f"{call.name or 'a call'} was not executed: {seen.error_type or 'no reason'}"
    missing = len(trajectory.calls) - len(trajectory.observations)
    return f"{missing} calls have no result" if missing > 0 else None


PLUGIN = _UnexecutedCalls()
