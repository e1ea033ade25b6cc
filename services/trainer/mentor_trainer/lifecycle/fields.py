"""How checkpoints are evaluated: plain settings only, since the evaluator answers the trainer, not whoever sent the spec."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from mentor.inference import SamplingParams
from mentor.rollout import RolloutLimits
from mentor.trajectory import Frozen


class CheckpointEvaluation(Frozen):
    """Fields of an evaluation that a run may set for its checkpoints; the evaluator's defaults where left out."""

    samples: int = Field(default=1, ge=1, le=256)
    max_questions: int | None = Field(default=None, ge=1)
    tools: Literal["with", "without", "both"] = "with"
    sampling: SamplingParams | None = None
    limits: RolloutLimits | None = None
    concurrency: int = Field(default=32, ge=1, le=4096)
