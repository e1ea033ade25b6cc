"""What an evaluation is asked to do."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from mentor.reach import Reach
from mentor.rollout.spec import SolveSpec
from mentor_evaluator.suites import SuiteName


class EvaluateSpec(SolveSpec):
    """Evaluate a model on a suite, or on a question set of one's own.

    The alignment score compares with ``reference`` (a teacher's trajectories.jsonl) or, where that is not given, with
    the references that the questions carry; with neither it is left out.
    """

    suite: SuiteName | None = Field(default=None, description="a benchmark: `mentor list suite`")
    reference: Annotated[str | None, Reach.PATH] = Field(
        default=None, description="trajectories.jsonl of the teacher on the same questions"
    )
    seed: int = Field(default=0, description="of the bootstrap")

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.suite is None) == (self.questions is None):
            raise ValueError("give either questions (a file) or suite (a benchmark)")
        return self
