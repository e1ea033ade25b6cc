"""What a teacher job is asked to do."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from mentor.reach import Reach
from mentor.rollout.budget import Budget, Prices
from mentor.rollout.spec import Effort, SolveSpec
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

    @model_validator(mode="after")
    def _can_be_kept(self) -> Self:
        if self.until_right is not None and self.until_right > self.samples:
            raise ValueError(f"until_right is {self.until_right}; allowed: at most samples, which is {self.samples}")
        if self.budget.money is not None and not (self.price_in or self.price_out):
            raise ValueError("budget.money needs prices; allowed: price_in, price_out, of a million tokens")
        return self

    @property
    def effort(self) -> Effort:
        """How far drawing goes."""
        prices = Prices(price_in=self.price_in, price_out=self.price_out)
        return Effort(until_right=self.until_right, budget=self.budget, prices=prices)

    @property
    def all_filters(self) -> tuple[str, ...]:
        """The filters that run after the verification, each once."""
        return tuple(dict.fromkeys((*(("without_tools",) if self.require_tools else ()), *self.filters)))
