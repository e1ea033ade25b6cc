"""What became of a teacher's trajectory, as its data set says in the trajectory's metadata."""

from __future__ import annotations

from mentor.trajectory import Trajectory

FATE = "fate"
"""Key in ``Trajectory.metadata``: ``KEPT``, ``SURPLUS``, ``LOST``, or the name of the filter that dropped it."""
WHY = "why"
"""Key beside it: what the filter said."""
KEPT = "kept"
SURPLUS = "surplus"
LOST = "lost"


def fate(trajectory: Trajectory) -> str | None:
    """What became of it; None where no data set says so."""
    found = trajectory.metadata.get(FATE)
    return str(found) if found is not None else None


def stayed(trajectory: Trajectory) -> bool:
    """Whether no filter dropped it."""
    return fate(trajectory) in (None, KEPT, SURPLUS)
