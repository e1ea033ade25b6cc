"""Limits of one trajectory."""

from __future__ import annotations

from pydantic import Field

from mentor.trajectory import Frozen


class RolloutLimits(Frozen):
    """Bounds that end a trajectory.

    ``max_response_tokens`` counts everything after the prompt, observations included, as the trainer's response
    length does; ``max_context_tokens`` bounds prompt and response together, below what the model's server allows.
    ``max_consecutive_invalid`` counts turns in which every call was invalid; None switches it off.
    """

    max_turns: int = Field(default=5, ge=1)
    max_response_tokens: int = Field(default=8192, ge=1)
    max_turn_tokens: int | None = Field(default=None, ge=1)
    max_context_tokens: int | None = Field(default=None, ge=1)
    max_consecutive_invalid: int | None = Field(default=3, ge=1)
    max_calls_per_turn: int = Field(default=16, ge=1)
    max_observation_chars: int = Field(default=8000, ge=16)
    turn_timeout_s: float = Field(default=600.0, gt=0)
    trajectory_timeout_s: float = Field(default=1800.0, gt=0)
