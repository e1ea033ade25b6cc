"""``grpo_mentor``: GRPO's group-relative advantage over the samples that really happened.

A sample that infrastructure ended (a sandbox outage, a time-out of ours) says nothing about the policy. Scored 0 it would
drag its group's mean down and its deviation up, so masking its loss is not enough: it is taken out *before* mean and
deviation are formed. Survivors get exactly the advantages of the group without it.

The mark of such a sample is a response mask of zeros: verl hands an estimator the token rewards, the mask and the group
of each row, and nothing else. verl's own padding rows look the same, and are treated the same.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np
import torch
from verl.trainer.ppo.core_algos import register_adv_est

NAME = "grpo_mentor"


@register_adv_est(NAME)  # type: ignore[untyped-decorator]
def compute_grpo_mentor_advantage(
    token_level_rewards: torch.Tensor,
    response_mask: torch.Tensor,
    index: np.ndarray,
    config: Any = None,
    epsilon: float = 1e-6,
    **_: Any,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Outcome advantage per group, failed samples excluded.

    Args:
        token_level_rewards: (batch, response); a row's reward is its sum.
        response_mask: (batch, response); 1 on the model's own tokens. A row of zeros marks a failed sample.
        index: (batch,) group of each row.
        config: verl's ``algorithm`` section; ``norm_adv_by_std_in_grpo`` (default True) divides by the deviation.
        epsilon: added to the deviation, as verl does.

    Returns:
        Advantages and returns, both (batch, response) and equal; 0 for failed samples, for observation tokens, and for
        groups with fewer than two survivors (which verl's own estimator would give their raw reward).
    """
    normalise = True if config is None else bool(config.get("norm_adv_by_std_in_grpo", True))
    with torch.no_grad():
        rewards = token_level_rewards.sum(dim=-1)
        survived = response_mask.sum(dim=-1) > 0
        groups: dict[Any, list[int]] = defaultdict(list)
        for row in torch.nonzero(survived).flatten().tolist():
            groups[index[row]].append(row)
        advantages = torch.zeros_like(rewards)
        for rows in groups.values():
            if len(rows) > 1:
                advantages[rows] = _relative(rewards[rows], epsilon, normalise)
        spread = advantages.unsqueeze(-1) * response_mask
    return spread, spread


def _relative(rewards: torch.Tensor, epsilon: float, normalise: bool) -> torch.Tensor:
    centred = rewards - rewards.mean()
    return centred / (rewards.std() + epsilon) if normalise else centred
