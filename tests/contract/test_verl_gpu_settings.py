"""Settings of runs that need GPUs: every file in ``configs`` against verl's own configuration classes, built for real.

And what verl hands to vLLM and SGLang against the arguments that their released packages take.
"""

from __future__ import annotations

from tests.support import verl_cpu  # noqa: F401  isort: skip  (before anything of verl)

import json
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf
from verl.utils.config import omega_conf_to_dataclass, validate_config
from verl.workers.config import ActorConfig, RolloutConfig

from mentor_trainer.config import TrainSpec, load_spec
from mentor_trainer.methods import METHODS
from tests.support import engine_arguments
from tests.support.service_process import ROOT
from tests.support.training import STUDENT
from tests.support.verl_step import changed, compose_config, overrides_of

FILES = sorted(p for p in (ROOT / "configs").rglob("*.yaml") if p.parent.name != "rewards")
CONFIGS = [path for path in FILES if METHODS.get(load_spec(path).algorithm).on_verl]
SERVERS = {"vllm": "vllm_rollout/vllm_async_server.py", "sglang": "sglang_rollout/async_sglang_server.py"}


class Composed:
    """verl's configuration for a GPU run, and for others by what they change."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.spec = load_spec(ROOT / "configs" / "paper" / "qwen2.5-7b.yaml", model=str(STUDENT))
        self.base = compose_config(self.spec, folder)
        self.overrides = overrides_of(self.spec, folder)

    def config(self, spec: TrainSpec) -> Any:
        return changed(self.base, self.overrides, overrides_of(spec, self.folder))


@pytest.fixture(scope="module")
def composed(tmp_path_factory: pytest.TempPathFactory) -> Composed:
    return Composed(tmp_path_factory.mktemp("gpu"))


def build(config: Any) -> tuple[ActorConfig, RolloutConfig]:
    """verl's classes, as its workers build them; each checks itself."""
    part = config.actor_rollout_ref
    if not part.model.lora_rank:  # verl's check of a LoRA's rank imports vLLM
        validate_config(config, use_reference_policy=part.actor.use_kl_loss, use_critic=False)
    actor = omega_conf_to_dataclass(part.actor)
    rollout = omega_conf_to_dataclass(part.rollout)
    for other in (part.model, part.ref.fsdp_config, config.algorithm, part.rollout.checkpoint_engine):
        omega_conf_to_dataclass(other)
    return actor, rollout


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: str(p.relative_to(ROOT)))
def test_verls_classes_take_every_configuration(path: Path, composed: Composed) -> None:
    spec = load_spec(path, model=str(STUDENT))
    actor, rollout = build(composed.config(spec))
    assert actor.ppo_mini_batch_size == spec.mini_batch_size and rollout.n == spec.rollouts
    assert rollout.name == spec.rollout_backend and actor.policy_loss.loss_mode


@pytest.mark.parametrize(
    "changes",
    [
        {"backend": "sglang"}, {"offload": True}, {"lora_rank": 16}, {"nnodes": 2, "ray_address": "http://r:8265"},
        {"tensor_parallel": 8}, {"gradient_checkpointing": False}, {"max_turn_tokens": 64, "val_rollouts": 4},
    ],
    ids=lambda c: next(iter(c)),
)  # fmt: skip
def test_verls_classes_take_every_setting_of_gpus(changes: dict[str, Any], composed: Composed) -> None:
    spec = load_spec(ROOT / "configs" / "paper" / "qwen3-8b.yaml", model=str(STUDENT), **changes)
    config = composed.config(spec)
    actor, rollout = build(config)
    assert actor.fsdp_config.param_offload == actor.fsdp_config.optimizer_offload == spec.offload
    assert rollout.tensor_model_parallel_size == spec.tensor_parallel and rollout.name == spec.rollout_backend
    assert config.trainer.nnodes == spec.nnodes and config.actor_rollout_ref.model.lora_rank == spec.lora_rank


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("actor_rollout_ref.actor.clip_ration_high", 0.3),
        ("actor_rollout_ref.actor.fsdp_config.param_ofload", True),
        ("actor_rollout_ref.rollout.gpu_memory_utilisation", 0.8),
        ("algorithm.norm_adv_by_std", True),
    ],
)
def test_a_misspelt_key_fails(key: str, value: Any, composed: Composed) -> None:
    config = composed.config(composed.spec)
    OmegaConf.update(config, key, value, force_add=True)
    with pytest.raises(Exception, match=key.rpartition(".")[2]):
        build(config)


@pytest.mark.parametrize("engine", SERVERS)
def test_the_engine_takes_what_verl_hands_to_it(engine: str) -> None:
    source = (resources.files("verl.workers.rollout") / SERVERS[engine]).read_text()
    known = json.loads(engine_arguments.FILE.read_text())[engine]["arguments"]
    given = engine_arguments.given_by_verl(source)
    assert len(given) > 15 and given - set(known) - NOT_ARGUMENTS[engine] == set()


NOT_ARGUMENTS = {"vllm": {"headless"}, "sglang": set[str]()}
"""What verl's server of an engine takes out again before the engine is made."""


def test_the_arguments_are_those_of_the_version_in_the_image() -> None:
    """Else: ``python -m tests.support.engine_arguments``."""
    known = json.loads(engine_arguments.FILE.read_text())
    assert known["vllm"]["version"] == engine_arguments.pinned_vllm()
    assert known["sglang"]["version"] == engine_arguments.SGLANG
