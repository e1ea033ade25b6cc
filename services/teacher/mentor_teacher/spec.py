"""What a teacher job is asked to do."""

from __future__ import annotations

from pydantic import Field

from mentor.rollout.solve import SolveSpec


class TeacherSpec(SolveSpec):
    """Generate reference trajectories.

    ``samples`` trajectories are drawn per question; of those whose answer matches the ground truth, at most
    ``max_references`` become references (the shortest first: fewest calls, then first drawn). ``require_tools`` keeps
    only those that called a tool (the paper's data set holds tool-using trajectories).
    """

    max_references: int = Field(default=4, ge=1, le=64)
    require_tools: bool = False
