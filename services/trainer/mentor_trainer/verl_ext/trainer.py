"""verl's synchronous trainer with additions: our metrics, a bound on lost samples, a stop that checkpoints.

Registered under its own name through ``register_trainer``; everything it overrides is a hook, or calls its parent first.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import ray
import torch
import transfer_queue as tq  # type: ignore[import-untyped]
from tensordict import TensorDict
from verl.trainer.ppo.v1.trainer_base import register_trainer
from verl.trainer.ppo.v1.trainer_sync import PPOTrainerSync
from verl.workers.utils.padding import response_to_nested

from mentor.errors import InfrastructureError
from mentor.trajectory import Trajectory
from mentor_trainer.verl_ext import RAY_TEMP_VARIABLE
from mentor_trainer.verl_ext.batch import arrange, order_of
from mentor_trainer.verl_ext.distil import distilled
from mentor_trainer.verl_ext.engine import MODEL_SECONDS
from mentor_trainer.verl_ext.metrics import rollout_metrics, trajectory_metrics
from mentor_trainer.verl_ext.on_policy import drop_idle_correction, updated_once
from mentor_trainer.verl_ext.reward import TRACE
from mentor_trainer.verl_ext.rollout_local import NAME as LOCAL
from mentor_trainer.verl_ext.runtime import runtime_of
from mentor_trainer.verl_ext.watch import Watch

NAME = "mentor"


@register_trainer(NAME)
class MentorTrainer(PPOTrainerSync):  # type: ignore[misc]
    """Synchronous GRPO. ``trainer_mode`` answers ``sync``, which verl asks for to tell its own modes apart."""

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        drop_idle_correction(self.config)
        self.runtime = runtime_of(config)
        self._drawn: dict[str, int] = {}
        self._early_servers: list[Any] = []
        self._worked = 0.0
        self.total_training_steps: int

    @property
    def trainer_mode(self) -> str:
        return "sync"

    @trainer_mode.setter
    def trainer_mode(self, _: str) -> None:
        return None

    def _setup(self) -> None:
        actor, trainer = self.config.actor_rollout_ref, self.config.trainer
        ranks = range(trainer.n_gpus_per_node * trainer.nnodes if actor.rollout.name == LOCAL else 0)
        if ranks and os.environ.get(RAY_TEMP_VARIABLE):
            from mentor_trainer.verl_ext.rollout_local.replica import start_server  # it imports verl, which imports us

            # Kept: an actor is gone with its last handle. On a cluster each starts on the node of its rank, later.
            path, most = actor.model.path, actor.rollout.max_num_seqs
            self._early_servers = [start_server(rank, path, most) for rank in ranks]
        super()._setup()

    def _build_replay_buffer(self) -> Any:
        buffer = super()._build_replay_buffer()
        buffer.watch = Watch(self._sampling_actors)
        return buffer

    def _sampling_actors(self) -> list[Any]:
        """Everything without which a rollout would never end."""
        return [
            *self.agent_loop_manager.agent_loop_workers,
            *(self.get_reward_handles() or ()),
            *(replica.server_handle for replica in self.llm_server_manager.get_replicas()),
        ]

    def _submit_batch_to_rollout(self, batch: Any) -> int:
        """Remember in which order questions were drawn: verl names their groups at random."""
        self._drawn.update({str(uid): len(self._drawn) + n for n, uid in enumerate(batch["uid"])})
        return int(super()._submit_batch_to_rollout(batch))

    def _balance_batch(self, batch: Any, metrics: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        """The first thing verl does with a sampled batch, before any model runs on it.

        Samples come in the order in which they ended, which no two runs share. They are put into the order in which
        their questions were drawn, and afterwards, verl's padding behind them, into that of mini-batches: see ``arrange``.
        """
        batch.reorder(order_of(batch.keys, self._drawn))
        self._drawn.clear()
        rows = tq.kv_batch_get(keys=batch.keys, partition_id=batch.partition_id, select_fields=["extra_fields"])
        fields: list[Mapping[str, Any]] = list(rows["extra_fields"])
        infos = [dict(field.get("reward_extra_info", {})) for field in fields]
        trajectories = [Trajectory.model_validate_json(field[TRACE]) for field in fields]
        metrics.update(rollout_metrics(infos))
        metrics.update(trajectory_metrics(trajectories, infos))
        self._refuse_outage(fields, infos)
        if self.runtime.rollouts_dir:
            _dump(Path(self.runtime.rollouts_dir) / f"step_{self.global_steps}.jsonl", fields, infos)
        positions = {key: place for place, key in enumerate(batch.keys)}
        batch = super()._balance_batch(batch, metrics, *args, **kwargs)
        # verl's padding rows, whose keys are new, go last.
        batch.reorder(sorted(range(len(batch.keys)), key=lambda row: positions.get(batch.keys[row], len(positions))))
        actor = self.config.actor_rollout_ref
        planned = actor.actor.ppo_mini_batch_size * actor.rollout.n
        ranks = max(self.actor_rollout_wg._dispatch_info["actor"]) + 1
        batch.reorder(arrange([int(tag["seq_len"]) for tag in batch.tags], planned, ranks))
        return batch

    def _refuse_outage(self, fields: Sequence[Mapping[str, Any]], infos: Sequence[Mapping[str, Any]]) -> None:
        lost = [f for f, info in zip(fields, infos, strict=True) if info.get("excluded")]
        if lost and (len(lost) == len(fields) or len(lost) > self.runtime.max_failed_fraction * len(fields)):
            reason = json.loads(lost[0][TRACE]).get("error") or "unknown"
            raise InfrastructureError(
                f"step {self.global_steps}: {len(lost)} of {len(fields)} rollouts were lost to infrastructure: {reason}"
            )

    def _compute_old_log_prob(self, batch: Any, metrics: dict[str, Any]) -> Any:
        """verl's, where anything but the update asks for them; else the update takes them from its own pass."""
        if self.runtime.distil_coef is None and updated_once(self.config, len(batch)):
            return batch
        return super()._compute_old_log_prob(batch, metrics)

    def _compute_advantage(self, batch: Any, metrics: dict[str, Any]) -> Any:
        """verl's, and with a teacher in the reference's place the term of on-policy distillation."""
        batch = super()._compute_advantage(batch, metrics)
        if self.runtime.distil_coef is None:
            return batch
        names = ["advantages", "old_log_probs", "ref_log_prob", "response_mask"]
        rows = tq.kv_batch_get(keys=batch.keys, partition_id=batch.partition_id, select_fields=names)
        shape = rows["response_mask"]
        padded = rows.to_padded_tensor()
        mask = padded["response_mask"].to(torch.float32)
        student, teacher = padded["old_log_probs"], padded["ref_log_prob"]
        advantages = distilled(
            padded["advantages"], student, teacher, mask, self.runtime.distil_coef, self.runtime.distil_alone
        )
        metrics["mentor/distil_kl"] = float(((student - teacher) * mask).sum() / mask.sum().clamp(min=1))
        fields = TensorDict({"advantages": response_to_nested(advantages, shape)}, batch_size=len(batch))
        return tq.kv_batch_put(keys=batch.keys, partition_id=batch.partition_id, fields=fields)

    def _update_actor(self, batch: Any, metrics: dict[str, Any]) -> Any:
        """verl's, and how long the models worked in this step: passes of training, and the local engine's steps.

        ``mentor/model_seconds`` by ``timing_s/step`` is the share of a step that no scheduling could save.
        """
        batch = super()._update_actor(batch, metrics)
        # What the update measured in the place of a pass of its own stands under the names that this gives it.
        for name in [name for name in metrics if name.startswith("actor/training/")]:
            metrics[name.removeprefix("actor/")] = metrics.pop(name)
        worked = float(metrics.pop(f"actor/{MODEL_SECONDS}", 0.0))
        if self._early_servers:  # a cluster's are not asked
            busy = ray.get([server.busy_seconds.remote() for server in self._early_servers])
            worked += sum(busy) / len(busy)
        metrics["mentor/model_seconds"] = worked - self._worked
        self._worked = worked
        return batch

    def on_step_end(self) -> None:
        """After weights reached the rollout servers: stop here if asked to, with a checkpoint to go on from."""
        super().on_step_end()
        if self.runtime.stop_file and Path(self.runtime.stop_file).exists():
            every = self.config.trainer.save_freq
            last = self.global_steps >= self.total_training_steps
            if not (every > 0 and (last or self.global_steps % every == 0)):
                self._save_checkpoint()
            self.total_training_steps = self.global_steps  # verl's loop ends once its step passes the total


def _dump(path: Path, fields: Sequence[Mapping[str, Any]], infos: Sequence[Mapping[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lines:
        for field, info in zip(fields, infos, strict=True):
            lines.write(json.dumps({"trajectory": json.loads(field[TRACE]), "reward": info}) + "\n")
