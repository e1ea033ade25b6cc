"""What a teacher job is asked to do."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from mentor.reach import Reach
from mentor.rollout.solve import SolveSpec
from mentor_teacher.filters import FilterName
from mentor_teacher.importers import ImporterName
from mentor_teacher.selections import SelectionName


class TeacherSpec(SolveSpec):
    """Generate reference trajectories.

    ``samples`` trajectories are drawn per question; of those whose answer matches the ground truth, at most
    ``max_references`` become references, in the order of ``selection``. ``require_tools`` keeps only those that called a
    tool (the paper's data set holds tool-using trajectories): short for the filter ``without_tools``.
    """

    questions: Annotated[str, Reach.PATH] = Field(description="JSON lines or parquet")
    max_references: int = Field(default=4, ge=1, le=64)
    require_tools: bool = False
    importer: ImporterName = Field(default="questions", description="what reads `questions`: `mentor list importer`")
    importer_options: dict[str, str] = Field(default_factory=dict, description="the importer's own, such as columns")
    filters: tuple[FilterName, ...] = Field(
        default=(), description="run after the verification, in this order: `mentor list filter`"
    )
    selection: SelectionName = Field(
        default="fewest_calls", description="which of several right trajectories come first: `mentor list selection`"
    )

    @property
    def all_filters(self) -> tuple[str, ...]:
        """The filters that run after the verification, each once."""
        return tuple(dict.fromkeys((*(("without_tools",) if self.require_tools else ()), *self.filters)))
