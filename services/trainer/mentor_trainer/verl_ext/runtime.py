"""The ``mentor`` section of verl's configuration: what our agent loop, reward and trainer need in every process."""

from __future__ import annotations

import json
from typing import Any

from pydantic import Field

from mentor.rewards import Weights
from mentor.rollout import RolloutLimits
from mentor.trajectory import Frozen

SECTION = "mentor"


class Runtime(Frozen):
    """Settings that travel to the actors inside verl's own configuration, so that they reach every node.

    ``infrastructure_wait_s`` bounds how long one sample waits for a service that is away; ``max_failed_fraction`` is the
    share of a batch that may be lost to infrastructure before the run stops instead of learning from what is left.
    """

    reward: str = "flexible"
    reward_weights_end: Weights | None = None
    reward_anneal_steps: int | None = None
    distil_coef: float | None = None
    distil_alone: bool = False
    judge: str = "math"
    chat_format: str = "auto"
    template_kwargs: dict[str, Any] = Field(default_factory=dict)
    system: str | None = None
    seed: int = 0
    max_turns: int = 5
    max_response_tokens: int = 8192
    max_turn_tokens: int | None = None
    max_context_tokens: int | None = None
    max_consecutive_invalid: int | None = 3
    turn_timeout_s: float = 600.0
    trajectory_timeout_s: float = 1800.0
    tools: tuple[str, ...] | None = None
    sandbox_url: str | None = None
    retriever_url: str | None = None
    infrastructure_wait_s: float = 60.0
    max_failed_fraction: float = 0.25
    stop_file: str | None = None
    rollouts_dir: str | None = None

    @property
    def limits(self) -> RolloutLimits:
        """The bounds of one trajectory."""
        return RolloutLimits(
            max_turns=self.max_turns,
            max_response_tokens=self.max_response_tokens,
            max_turn_tokens=self.max_turn_tokens,
            max_context_tokens=self.max_context_tokens,
            max_consecutive_invalid=self.max_consecutive_invalid,
            turn_timeout_s=self.turn_timeout_s,
            trajectory_timeout_s=self.trajectory_timeout_s,
        )


def runtime_of(config: Any) -> Runtime:
    """The section of a whole trainer configuration (an OmegaConf ``DictConfig``).

    ``texts`` in it is JSON of the fields that may hold any text: as JSON no resolver can mistake them for its own.
    """
    from omegaconf import OmegaConf

    section: Any = OmegaConf.to_container(config[SECTION], resolve=True)
    texts = json.loads(section.pop("texts", "{}"))
    return Runtime.model_validate(section | texts)
