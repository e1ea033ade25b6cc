"""Selections: one file each. A selection puts the right trajectories of one question into the order in which they are kept.

Users' own come by the entry points of ``mentor.selections``; ``selection: NAME`` in a teacher's spec takes them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Protocol

from pydantic import AfterValidator

from mentor.plugins import Plugin, Registry
from mentor.trajectory import Trajectory


class Selection(Plugin, Protocol):
    """Ranks the verified trajectories of one question."""

    def rank(self, trajectories: Sequence[Trajectory]) -> list[Trajectory]:
        """Those that may be kept, best first; the job keeps as many as its spec allows. Never empty for a non-empty input.

        A plug-in with a true ``unlimited`` is not held to ``max_references``.
        """
        ...


SELECTIONS: Registry[Selection] = Registry("selection", "mentor_teacher.selections", Selection)

SelectionName = Annotated[str, AfterValidator(SELECTIONS.check)]
"""Type of a spec's field that names a selection."""
