"""verl's FSDP engine for the device ``cpu``, and the rollout backend ``local``."""

from __future__ import annotations

from typing import Any

ROLLOUT_NAME = "local"
ROLLOUT_ADAPTER = "mentor_trainer.verl_ext.rollout_local.adapter.LocalAdapter"


def register_engine() -> None:
    """Register the FSDP and FSDP2 language-model engines for the device ``cpu``."""
    from verl.workers.engine.base import EngineRegistry
    from verl.workers.engine.fsdp.transformer_impl import FSDPEngineWithLMHead

    known = EngineRegistry._engines["language_model"]
    missing = [backend for backend in ("fsdp", "fsdp2") if "cpu" not in known[backend]]
    if missing:
        EngineRegistry.register(model_type="language_model", backend=missing, device="cpu")(FSDPEngineWithLMHead)


def _load_replica() -> type[Any]:
    from mentor_trainer.verl_ext.rollout_local.replica import LocalReplica

    return LocalReplica


def register_rollout() -> None:
    """Register the backend ``local``. verl has a public registry of replicas; that of the trainer's side is private."""
    from verl.workers.rollout import base
    from verl.workers.rollout.replica import RolloutReplicaRegistry

    base._ROLLOUT_REGISTRY[(ROLLOUT_NAME, "async")] = ROLLOUT_ADAPTER
    RolloutReplicaRegistry.register(ROLLOUT_NAME, _load_replica)
