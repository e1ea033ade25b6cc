"""What is asked of whoever draws trajectories: a model, questions, tools, how to sample, and how far to go."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from mentor.grading import JudgeName
from mentor.inference import SamplingParams
from mentor.inference.servers.spec import require_equal_shares
from mentor.reach import Reach
from mentor.rollout.budget import Budget, Prices
from mentor.rollout.connect import ModelSource, ToolBackends
from mentor.rollout.limits import RolloutLimits
from mentor.rollout.variants import PromptVariant
from mentor.trajectory import Frozen


class DrawSpec(Frozen):
    """How trajectories are drawn.

    ``concurrency``: so many in flight, or ``auto``: as many as the model's endpoints bear, which is found while they are
    being asked, up to ``max_concurrency``. ``prompts``: ways to ask, in turn by the sample's number.
    """

    samples: int = Field(default=1, ge=1, le=256)
    sampling: SamplingParams = Field(default_factory=lambda: SamplingParams(temperature=0.6, max_tokens=8192, seed=0))
    limits: RolloutLimits = Field(default_factory=RolloutLimits)
    concurrency: Annotated[int, Field(ge=1, le=4096)] | Literal["auto"] = 32
    max_concurrency: int = Field(default=512, ge=1, le=4096, description="of `concurrency: auto`")
    prompts: tuple[PromptVariant, ...] = Field(default=(), max_length=64)
    max_infrastructure_share: float = Field(
        default=0.01, ge=0, le=1, description="share of trajectories that may be lost to outages before the job fails"
    )

    @property
    def slots(self) -> int:
        """Trajectories that may be in flight."""
        return self.max_concurrency if self.concurrency == "auto" else self.concurrency

    @property
    def adaptive_up_to(self) -> int | None:
        """Requests that an endpoint may find to bear; None where the spec says how many."""
        return self.max_concurrency if self.concurrency == "auto" else None


class SolveSpec(DrawSpec):
    """A model, a question set, tools, and how to sample."""

    model: ModelSource
    questions: Annotated[str | None, Reach.PATH] = Field(default=None, description="JSON lines or parquet")
    tools: Annotated[str | None, Reach.PATH] = Field(
        default=None, description="a user's tools.py, offered in place of the math tools"
    )
    sandbox_tools: tuple[str, ...] = Field(
        default=(),
        max_length=256,
        description="registered tools of the sandbox, those of its MCP servers too, offered beside the others",
    )
    judge: JudgeName = "math"
    max_questions: int | None = Field(default=None, ge=1)
    gpus: int = Field(default=0, ge=0, le=64, description="devices taken by lease from those that jobs share")
    backends: ToolBackends = Field(default_factory=ToolBackends)

    @model_validator(mode="after")
    def _one_kind_of_own_tools(self) -> Self:
        if self.tools and self.sandbox_tools:
            raise ValueError("sandbox_tools and tools exclude each other: register those of the file in the sandbox")
        return self

    @model_validator(mode="after")
    def _equal_replicas(self) -> Self:
        require_equal_shares(self.gpus, [self.model.serve])
        return self


class Effort(Frozen):
    """How far drawing goes beyond or short of ``samples`` of every question: see ``Wanted`` and ``Budget``."""

    until_right: int | None = None
    budget: Budget = Field(default_factory=Budget)
    prices: Prices = Field(default_factory=Prices)
