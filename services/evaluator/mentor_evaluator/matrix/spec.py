"""What an evaluation is asked to do."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from mentor.inference import SamplingParams
from mentor.inference.servers.spec import require_equal_shares
from mentor.reach import Reach
from mentor.rollout.budget import Prices
from mentor.rollout.connect import ModelSource, ToolBackends
from mentor.rollout.limits import RolloutLimits
from mentor.rollout.spec import DrawSpec
from mentor.trajectory import Frozen
from mentor_evaluator.datasets.own import OwnSuite
from mentor_evaluator.strategies import StrategyName

Sides = Literal["with", "without", "both"]
Thinking = Literal["as_is", "on", "off", "both"]


class Arm(Frozen):
    """One way to ask a model. ``thinking`` None leaves the chat template as it is."""

    tools: bool = True
    thinking: bool | None = None

    @property
    def name(self) -> str:
        """``tools``, ``no-tools``, ``tools-thinking`` and so on."""
        sides = "tools" if self.tools else "no-tools"
        return sides if self.thinking is None else f"{sides}-{'' if self.thinking else 'no-'}thinking"


class EvaluatedModel(Frozen):
    """A model under its name in results. What is given here replaces the evaluation's own for this model.

    ``reference``: a teacher's trajectories of the same questions, for the alignment score.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,95}$")
    model: ModelSource
    sampling: SamplingParams | None = None
    limits: RolloutLimits | None = None
    thinking: Thinking | None = None
    price_in: float = Field(default=0.0, ge=0, description="of a million prompt tokens")
    price_out: float = Field(default=0.0, ge=0, description="of a million generated tokens")

    @property
    def prices(self) -> Prices:
        """Of its tokens."""
        return Prices(price_in=self.price_in, price_out=self.price_out)


class EvaluationSpec(DrawSpec):
    """Models times suites.

    ``suites`` may name groups (``paper-math``). ``own`` brings suites of the user's own; each is run under its name.
    ``skip_broken`` leaves malformed rows of data sets out, and counts them, instead of refusing the set.
    """

    models: tuple[EvaluatedModel, ...] = Field(min_length=1, max_length=64)
    suites: tuple[str, ...] = ()
    own: tuple[OwnSuite, ...] = ()
    tools: Sides = "with"
    strategy: StrategyName = Field(default="agent", description="how a trajectory is drawn: `mentor list strategy`")
    thinking: Thinking = "as_is"
    reference: Annotated[str | None, Reach.PATH] = Field(
        default=None, description="trajectories.jsonl of the teacher on the same questions, for the alignment score"
    )
    second_judges: tuple[str, ...] = Field(default=(), description="scorers that stand beside a suite's own")
    max_questions: int | None = Field(default=None, ge=1, description="of each suite")
    skip_broken: bool = False
    gpus: int = Field(default=0, ge=0, le=64, description="devices taken by lease from those that jobs share")
    backends: ToolBackends = Field(default_factory=ToolBackends)
    seed: int = Field(default=0, description="of bootstraps")
    options: dict[str, dict[str, Any]] = Field(default_factory=dict, description="by suite: what it alone understands")

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if not self.suites and not self.own:
            raise ValueError("suites: none is named (see `mentor list suite`), and own brings none")
        names = [model.name for model in self.models]
        if len(set(names)) != len(names):
            raise ValueError("models: a name occurs twice")
        if self.prompts and self.strategy != "agent":
            raise ValueError(f"prompts: strategy {self.strategy} asks in its own way; allowed: agent")
        require_equal_shares(self.gpus, [entry.model.serve for entry in self.models])
        return self

    def arms(self, model: EvaluatedModel) -> list[Arm]:
        """The ways in which a model is asked."""
        sides = {"with": (True,), "without": (False,), "both": (True, False)}[self.tools]
        thoughts = {"as_is": (None,), "on": (True,), "off": (False,), "both": (True, False)}
        return [Arm(tools=side, thinking=t) for side in sides for t in thoughts[model.thinking or self.thinking]]

    def draw_spec(self, model: EvaluatedModel) -> DrawSpec:
        """How trajectories of a model are drawn."""
        return DrawSpec(
            samples=self.samples,
            sampling=model.sampling or self.sampling,
            limits=model.limits or self.limits,
            concurrency=self.concurrency,
            max_concurrency=self.max_concurrency,
            prompts=self.prompts,
            max_infrastructure_share=self.max_infrastructure_share,
        )
