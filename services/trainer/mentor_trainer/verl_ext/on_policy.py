"""Batches that are updated once: the probabilities before the update are those of the update's own forward pass.

With one mini-batch and one epoch the weights that Eq. 3 calls old are the ones being updated: the ratio is 1, and only its
gradient is at work. verl computes the old probabilities in a pass of their own nonetheless, which costs a third of the
update; here they are taken, without gradient, where the update computes them anyway, and with them what verl measures on
that pass: the policy's entropy, and its distance to the probabilities of the rollout engine.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.distributed as dist
from tensordict import TensorDict
from torch.nn.utils.rnn import pad_sequence
from verl import DataProto
from verl.trainer.ppo.core_algos import agg_loss
from verl.utils.debug.metrics import calculate_debug_metrics
from verl.workers.utils.padding import no_padding_2_padding, response_to_nested

Metrics = dict[str, float]
_ROLLOUT = "rollout_log_probs"


def drop_idle_correction(config: Any) -> None:
    """Take out of verl's configuration a correction for the rollout engine's probabilities that neither weighs nor rejects.

    It would measure, from old probabilities, what ``calculate_debug_metrics`` measures too.
    """
    correction = config.algorithm.get("rollout_correction")
    if correction is not None and not (correction.rollout_is or correction.rollout_rs or correction.bypass_mode):
        config.algorithm.rollout_correction = None


def updated_once(config: Any, rows: int) -> bool:
    """Whether nothing but the update needs old probabilities, and no row of the batch is updated twice.

    Args:
        config: verl's configuration.
        rows: sequences of the step's batch, over all ranks.
    """
    actor, algorithm = config.actor_rollout_ref.actor, config.algorithm
    one_update = rows == actor.ppo_mini_batch_size * config.actor_rollout_ref.rollout.n and actor.ppo_epochs == 1
    needed = algorithm.use_kl_in_reward or algorithm.get("rollout_correction") is not None
    return bool(one_update and not needed)


class OwnProbabilities:
    """verl's policy loss on rows that have no ``old_log_probs``: they are its own log-probabilities, as constants."""

    def __init__(self, loss: Any, watch_entropy: bool) -> None:
        """Args:
        loss: verl's ``ppo_loss`` with its configuration bound.
        watch_entropy: the loss has no entropy term; the entropy is measured alone.
        """
        self._loss = loss
        self._watch_entropy = watch_entropy
        self._seen: dict[str, list[torch.Tensor]] = {}
        self._lengths: list[int] = []

    def __call__(self, model_output: dict[str, Any], data: TensorDict, dp_group: Any = None) -> Any:
        mask = data["response_mask"]
        take = model_output.pop if self._watch_entropy else model_output.get
        own = {"old_log_probs": model_output["log_probs"], "entropy": take("entropy")}
        seen = {
            name: response_to_nested(no_padding_2_padding(values.detach(), data), mask) for name, values in own.items()
        }
        data["old_log_probs"] = seen["old_log_probs"]
        if _ROLLOUT in data:
            seen[_ROLLOUT] = data[_ROLLOUT]
        for name, values in {**seen, "response_mask": mask, "responses": data["responses"]}.items():
            self._seen.setdefault(name, []).append(values.values().cpu())
        self._lengths += mask.offsets().diff().tolist()
        return self._loss(model_output=model_output, data=data, dp_group=dp_group)

    def metrics(self, group: Any) -> Metrics:
        """What verl measures on a pass of its own, over the rows of all ranks; the same on each.

        Args:
            group: the data-parallel process group.
        """
        shares: list[Any] = [None] * dist.get_world_size(group)
        dist.all_gather_object(shares, ({name: torch.cat(v) for name, v in self._seen.items()}, self._lengths), group)
        fields = {
            name: pad_sequence([row for seen, lengths in shares for row in seen[name].split(lengths)], batch_first=True)
            for name in self._seen
        }
        config = self._loss.keywords["config"]
        mode, scale = config.loss_agg_mode, config.loss_scale_factor
        entropy = agg_loss(fields["entropy"], fields["response_mask"], mode, loss_scale_factor=scale)
        gaps: Mapping[str, float] = {}
        if _ROLLOUT in fields:
            gaps = calculate_debug_metrics(DataProto(batch=TensorDict(fields, batch_size=len(fields["responses"]))))
        return {"entropy": float(entropy), **gaps}
