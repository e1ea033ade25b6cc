"""Trajectories with a call that failed, whoever's fault it was."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field

from mentor_teacher.filters import Candidate, Explained, FilterUse, Why


class Settings(FilterUse):
    """``most``: failing calls that are let through, for students that are to learn how to recover."""

    most: int = Field(default=0, ge=0)


class _FailingCalls(Explained[Settings]):
    name = "failing_calls"
    summary = "drops what has a failing call (most: so many are let through)"
    Options = Settings

    def drops(self, candidates: Sequence[Candidate], options: Settings) -> list[Why]:
        return [_why(candidate, options.most) for candidate in candidates]


def _why(candidate: Candidate, most: int) -> Why:
    failed = [seen for seen in candidate.trajectory.observations if not seen.ok]
    if len(failed) <= most:
        return None
    return f"{len(failed)} failing, first {failed[0].name or 'a call'}: {failed[0].error_type or 'failed'}"


PLUGIN = _FailingCalls()
