"""The rollout backend ``local``: the project's own engine, in Ray actors, fed weights by the trainer."""

from __future__ import annotations

from typing import Any

NAME = "local"
_ADAPTER = "mentor_trainer.verl_ext.rollout_local.adapter.LocalAdapter"


def _load_replica() -> type[Any]:
    from mentor_trainer.verl_ext.rollout_local.replica import LocalReplica

    return LocalReplica


def register() -> None:
    """Register the backend. verl has a public registry of replicas; that of the trainer's side is private."""
    from verl.workers.rollout import base
    from verl.workers.rollout.replica import RolloutReplicaRegistry

    base._ROLLOUT_REGISTRY[(NAME, "async")] = _ADAPTER
    RolloutReplicaRegistry.register(NAME, _load_replica)
