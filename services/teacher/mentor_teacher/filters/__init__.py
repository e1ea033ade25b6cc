"""Filters: one file each. A filter says which of the teacher's trajectories cannot become references.

Its name is the name under which what it dropped is counted. Users' own come by the entry points of ``mentor.filters``;
``filters: [NAME]`` in a teacher's spec takes them, after those that always run.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Protocol

from pydantic import AfterValidator

from mentor.plugins import Plugin, Registry
from mentor.trajectory import Frozen, Question, Trajectory


class Candidate(Frozen):
    """A trajectory that may become a reference, beside its question."""

    question: Question
    trajectory: Trajectory


class Filter(Plugin, Protocol):
    """Drops candidates. It sees all that are left at once, so that it may compare them."""

    def keeps(self, candidates: Sequence[Candidate]) -> list[bool]:
        """Whether each is kept, in their order."""
        ...


FILTERS: Registry[Filter] = Registry("filter", "mentor_teacher.filters", Filter)

FilterName = Annotated[str, AfterValidator(FILTERS.check)]
"""Type of a spec's field that names a filter."""
