"""What a teacher job is asked to do."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from mentor.reach import Reach
from mentor.rollout.solve import SolveSpec
from mentor_teacher.importers import ImporterName
from mentor_teacher.keeping import KeepSpec


class TeacherSpec(SolveSpec, KeepSpec):
    """Generate reference trajectories.

    ``samples`` trajectories are drawn per question; what of them is kept is said by the fields of ``KeepSpec``.
    """

    questions: Annotated[str, Reach.PATH] = Field(description="a file or folder that `importer` reads")
    importer: ImporterName = Field(default="questions", description="what reads `questions`: `mentor list importer`")
    importer_options: dict[str, str] = Field(default_factory=dict, description="the importer's own, such as columns")
