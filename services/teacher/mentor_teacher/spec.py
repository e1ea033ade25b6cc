"""What a teacher job is asked to do."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from mentor.reach import Reach
from mentor.rollout.budget import Budget, Prices
from mentor.rollout.spec import Effort, SolveSpec
from mentor_teacher.importers import ImporterName
from mentor_teacher.keeping import KeepSpec


class TeacherSpec(SolveSpec, KeepSpec):
    """Generate reference trajectories.

    ``samples`` trajectories are drawn per question; what of them is kept is said by the fields of ``KeepSpec``.
    """

    questions: Annotated[str, Reach.PATH] = Field(description="a file or folder that `importer` reads")
    importer: ImporterName = Field(default="questions", description="what reads `questions`: `mentor list importer`")
    importer_options: dict[str, str] = Field(default_factory=dict, description="the importer's own, such as columns")
    until_right: int | None = Field(
        default=None, ge=1, le=256, description="draw a question only until so many are right, at most `samples`"
    )
    budget: Budget = Field(
        default_factory=Budget, description="tokens, money, hours: drawing ends with the first used up"
    )
    price_in: float = Field(default=0.0, ge=0, description="of a million prompt tokens")
    price_out: float = Field(default=0.0, ge=0, description="of a million generated tokens")
    dry_run: int | None = Field(
        default=None, ge=1, le=1000, description="only estimate what the job would take, from so many questions"
    )

    @model_validator(mode="after")
    def _can_be_kept(self) -> Self:
        if self.until_right is not None and self.until_right > self.samples:
            raise ValueError(f"until_right is {self.until_right}; allowed: at most samples, which is {self.samples}")
        if self.until_right is not None and self.by_agreement:
            raise ValueError("until_right needs a ground truth: with the filter agreement every sample votes")
        if self.budget.money is not None and not (self.price_in or self.price_out):
            raise ValueError("budget.money needs prices; allowed: price_in, price_out, of a million tokens")
        return self

    @property
    def effort(self) -> Effort:
        """How far drawing goes."""
        prices = Prices(price_in=self.price_in, price_out=self.price_out)
        return Effort(until_right=self.until_right, budget=self.budget, prices=prices)
