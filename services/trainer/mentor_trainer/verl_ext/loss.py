"""Importance ratios that verl does not have, as policy losses registered by name."""

from __future__ import annotations

from typing import Any

import torch
from verl.trainer.ppo.core_algos import agg_loss, register_policy_loss
from verl.utils.torch_functional import masked_mean

TRAJECTORY = "mentor_trajectory"
_FAR = 20.0
"""Bound of a log-ratio, as verl's own losses have it: e^20 is as good as infinite, and finite."""


@register_policy_loss(TRAJECTORY)  # type: ignore[untyped-decorator]
def trajectory_ratio_loss(
    old_log_prob: torch.Tensor,
    log_prob: torch.Tensor,
    advantages: torch.Tensor,
    response_mask: torch.Tensor,
    loss_agg_mode: str = "seq-mean-token-mean",
    config: Any = None,
    rollout_is_weights: torch.Tensor | None = None,
) -> tuple[torch.Tensor, dict[str, Any]]:
    """PPO's clipped loss with one ratio per trajectory: that of the probabilities of all its model tokens together.

    Unlike GSPO's sequence ratio it is not the root by length: exact as an importance weight, and of a variance that grows
    with length.

    Args:
        old_log_prob, log_prob, advantages: (batch, response).
        response_mask: (batch, response); True on the model's own tokens.
        loss_agg_mode: as verl's ``agg_loss`` takes it.
        config: verl's ``ActorConfig``.
        rollout_is_weights: (batch, response) weights of truncated importance sampling, or None.

    Returns:
        The loss, and the metrics that verl's own losses report.
    """
    gap = (log_prob - old_log_prob) * response_mask
    ratio = gap.sum(-1, keepdim=True).clamp(-_FAR, _FAR).exp().expand_as(gap)
    plain = -advantages * ratio
    clipped = -advantages * ratio.clamp(1 - config.clip_ratio_low, 1 + config.clip_ratio_high)
    losses = torch.maximum(plain, clipped)
    if rollout_is_weights is not None:
        losses = losses * rollout_is_weights
    loss = agg_loss(loss_mat=losses, loss_mask=response_mask, loss_agg_mode=loss_agg_mode, **config.global_batch_info)
    return loss, {
        "actor/pg_clipfrac": masked_mean((clipped > plain).float(), response_mask).item(),
        "actor/ppo_kl": masked_mean(-gap, response_mask).item(),
        "actor/pg_clipfrac_lower": 0.0,
    }
