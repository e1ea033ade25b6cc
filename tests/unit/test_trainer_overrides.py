"""A spec as overrides of verl's configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given
from hypothesis import strategies as st

from mentor_trainer.config import make_spec
from mentor_trainer.overrides import RunPaths, agent_loop_file, build_overrides, largest_divisor, literal

PATHS = RunPaths(checkpoints=Path("/o/checkpoints"), attempt=Path("/o/attempts/1"))
CPU: dict[str, Any] = {"device": "cpu", "n_gpus_per_node": 1, "tensor_parallel": 1}


def parsed(paths: RunPaths = PATHS, **values: Any) -> dict[str, Any]:
    """The overrides as hydra reads them."""
    spec = make_spec({"model": "m", "train_files": ["t.parquet"], **values})
    overrides = OverridesParser.create().parse_overrides(build_overrides(spec, paths))
    return {o.key_or_group: o.value() for o in overrides}


@given(st.text(alphabet=st.characters(blacklist_categories=("Cs", "Cc"))))
def test_any_string_reaches_hydra_as_it_was(text: str) -> None:
    (override,) = OverridesParser.create().parse_overrides([f"k={literal(text)}"])
    value = override.value()
    assert (value.replace("\\${", "${") if "${" in text else value) == text


@pytest.mark.parametrize("value", [None, True, False, 3, 1e-6, [1, "a,b"], {"a": "x=y", "b": [None]}])
def test_any_value_reaches_hydra_as_it_was(value: Any) -> None:
    (override,) = OverridesParser.create().parse_overrides([f"k={literal(value)}"])
    assert override.value() == value


def test_the_same_spec_gives_the_same_overrides() -> None:
    assert parsed(**CPU) == parsed(**CPU)


def test_the_papers_settings_reach_verl() -> None:
    o = parsed()
    assert o["algorithm.adv_estimator"] == "grpo_mentor"
    assert o["data.train_batch_size"] == 16 and o["actor_rollout_ref.actor.ppo_mini_batch_size"] == 8
    assert o["actor_rollout_ref.rollout.n"] == 10 and o["actor_rollout_ref.actor.optim.lr"] == 1e-6
    assert o["actor_rollout_ref.actor.use_kl_loss"] is True and o["actor_rollout_ref.actor.kl_loss_coef"] == 0.001
    assert o["actor_rollout_ref.actor.clip_ratio_high"] == 0.2
    assert o["mentor.max_turns"] == 5 and o["mentor.reward"] == "flexible"


def test_a_gpu_run_packs_sequences_and_a_cpu_run_does_not() -> None:
    gpu, cpu = parsed(), parsed(**CPU)
    assert gpu["actor_rollout_ref.rollout.name"] == "vllm" and cpu["actor_rollout_ref.rollout.name"] == "local"
    assert gpu["actor_rollout_ref.model.use_remove_padding"] is True
    assert cpu["actor_rollout_ref.model.use_remove_padding"] is False
    assert cpu["actor_rollout_ref.actor.fsdp_config.dtype"] == "float32"
    assert "ray_kwargs.ray_init.num_gpus" in cpu and "ray_kwargs.ray_init.num_gpus" not in gpu
    assert parsed(backend="sglang")["actor_rollout_ref.rollout.name"] == "sglang"


def test_a_cluster_says_itself_what_its_nodes_have() -> None:
    """Ray refuses resources for a cluster that is up already."""
    alone, cluster = (parsed(device="cpu", ray_address=a, nnodes=1) for a in (None, "http://head:8265"))
    assert any(key.startswith("ray_kwargs.ray_init.num_") for key in alone)
    assert not any(key.startswith("ray_kwargs.ray_init") for key in cluster)


def test_ranks_of_a_cpu_run_are_logical_gpus_and_share_a_mini_batch() -> None:
    two = parsed(device="cpu", n_gpus_per_node=2, train_batch_size=8, mini_batch_size=4, rollouts=3, micro_batch_size=4)
    assert two["ray_kwargs.ray_init.num_gpus"] == two["trainer.n_gpus_per_node"] == 2
    assert two["actor_rollout_ref.actor.ppo_micro_batch_size_per_gpu"] == 3, "6 rows of each rank"


def test_a_resumed_run_names_its_checkpoint_and_a_fresh_one_resumes_nothing() -> None:
    resumed = parsed(
        RunPaths(checkpoints=PATHS.checkpoints, attempt=PATHS.attempt, resume_from=Path("/o/c/global_step_3"))
    )
    assert (resumed["trainer.resume_mode"], resumed["trainer.resume_from_path"]) == (
        "resume_path",
        "/o/c/global_step_3",
    )
    assert parsed()["trainer.resume_mode"] == "disable"


def test_checkpoints_hold_the_hugging_face_model_and_the_last_step_is_saved() -> None:
    o = parsed(save_freq=-1)
    assert "hf_model" in o["actor_rollout_ref.actor.checkpoint.save_contents"]
    assert o["trainer.save_freq"] > 10**6


def test_the_users_own_overrides_come_last() -> None:
    assert parsed(overrides=["data.train_batch_size=3"])["data.train_batch_size"] == 3


def test_the_agent_loop_file_is_in_the_package() -> None:
    assert "MentorAgentLoop" in agent_loop_file().read_text()


@pytest.mark.parametrize(("number", "limit", "divisor"), [(64, 32, 32), (16, 32, 16), (60, 32, 30), (7, 4, 1)])
def test_micro_batches_split_a_mini_batch_evenly(number: int, limit: int, divisor: int) -> None:
    assert largest_divisor(number, limit) == divisor


def test_a_cpu_run_uses_a_micro_batch_that_fits() -> None:
    o = parsed(**CPU, train_batch_size=4, mini_batch_size=2, rollouts=5, micro_batch_size=8)
    assert o["actor_rollout_ref.actor.ppo_micro_batch_size_per_gpu"] == 5
