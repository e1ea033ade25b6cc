"""What an evaluation is asked to do."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from mentor.reach import Reach
from mentor.rollout.solve import SolveSpec


class EvaluateSpec(SolveSpec):
    """Evaluate a model on a question set.

    The alignment score compares with ``reference`` (a teacher's trajectories.jsonl) or, where that is not given, with
    the references that the questions carry; with neither it is left out.
    """

    reference: Annotated[str | None, Reach.PATH] = Field(
        default=None, description="trajectories.jsonl of the teacher on the same questions"
    )
    seed: int = Field(default=0, description="of the bootstrap")
