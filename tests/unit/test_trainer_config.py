"""The training spec: defaults, what it refuses, the published environment variables, the YAML files."""

from __future__ import annotations

from pathlib import Path

import pytest

from mentor.errors import UserError
from mentor.rewards import load_preset
from mentor_trainer.config import ENVIRONMENT, TrainSpec, load_spec, make_spec
from tests.support.service_process import ROOT

MINIMAL = {"model": "m", "train_files": ["t.parquet"]}
CONFIGS = sorted(p for p in (ROOT / "configs").rglob("*.yaml") if p.parent.name != "rewards")


def test_the_defaults_are_the_papers_settings() -> None:
    spec = make_spec(MINIMAL)
    assert (spec.lr, spec.total_epochs, spec.train_batch_size, spec.mini_batch_size) == (1e-6, 2, 16, 8)
    assert (spec.rollouts, spec.tensor_parallel, spec.temperature, spec.max_turns) == (10, 2, 0.7, 5)
    assert (spec.kl_coef, spec.clip_ratio, spec.max_response_length, spec.max_sequence_length) == (
        0.001,
        0.2,
        8192,
        32768,
    )
    assert spec.loss_aggregation == "seq-mean-token-mean" and spec.gradient_checkpointing


@pytest.mark.parametrize(
    ("change", "field", "allowed"),
    [
        ({"lr": 0}, "lr", "greater than 0"),
        ({"temprature": 1.0}, "temprature", "temperature"),
        ({"rollouts": 1}, "rollouts", "2 or more"),
        ({"mini_batch_size": 5}, "mini_batch_size", "divisor"),
        ({"device": "tpu"}, "device", "'cpu' or 'cuda'"),
        ({"device": "cpu", "n_gpus_per_node": 3}, "mini_batch_size", "with rollouts a multiple of the 3 ranks"),
        ({"reward_anneal_steps": 10}, "reward_anneal_steps", "none without"),
        ({"curriculum": "pass_rate"}, "shuffle", "false with curriculum"),
        ({"pass_rate_range": [0.9, 0.1]}, "pass_rate_range", "two shares in order"),
        ({"device": "cpu", "n_gpus_per_node": 1, "tensor_parallel": 1, "backend": "vllm"}, "backend", "local on a CPU"),
        ({"tensor_parallel": 3}, "tensor_parallel", "divisor"),
        ({"algorithm": "sft"}, "trajectory_files", "SFT"),
        ({"max_response_length": 40000}, "max_response_length", "32768"),
        ({"test_freq": 5}, "test_freq", "val_files"),
        ({"train_files": []}, "train_files", "at least one"),
        ({"name": "../up"}, "name", "pattern"),
    ],
)
def test_an_impossible_setting_is_refused_with_its_name(change: dict[str, object], field: str, allowed: str) -> None:
    with pytest.raises(UserError) as refused:
        make_spec({**MINIMAL, **change})
    assert refused.value.field == field
    assert allowed in str(refused.value)
    assert "\n" not in str(refused.value)


def test_the_published_variables_override_the_file() -> None:
    environment = {
        "TRAIN_BATCH_SIZE": "32", "PPO_MINI_BATCH_SIZE": "16", "ROLLOUT_N": "5", "LR": "2e-6", "USE_KL": "False",
        "TRAIN_FILES": "['a.parquet','b.parquet']".replace("'", ""), "SEARCH_URL": "http://r:8081", "WANDB_API_KEY": "k",
    }  # fmt: skip
    spec = make_spec({**MINIMAL, "train_batch_size": 8}, environment)
    assert (spec.train_batch_size, spec.mini_batch_size, spec.rollouts, spec.lr) == (32, 16, 5, 2e-6)
    assert spec.use_kl is False and spec.train_files == ("a.parquet", "b.parquet")
    assert spec.retriever_url == "http://r:8081" and spec.loggers == ("tensorboard", "wandb")


def test_a_malformed_variable_is_refused_under_its_field() -> None:
    with pytest.raises(UserError) as refused:
        make_spec(MINIMAL, {"ROLLOUT_N": "many"})
    assert refused.value.field == "rollouts"


def test_every_published_variable_sets_a_field() -> None:
    assert set(ENVIRONMENT.values()) <= set(TrainSpec.model_fields)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_configuration_in_the_repository_is_a_valid_spec(path: Path) -> None:
    load_preset(load_spec(path).reward)


def test_the_repository_has_configurations() -> None:
    assert len(CONFIGS) >= 14


def test_a_base_gives_the_fields_that_a_file_leaves_out(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text("model: m\ntrain_files: t.parquet\nlr: 1.0e-5\nseed: 3\n")
    (tmp_path / "top.yaml").write_text("base: base.yaml\nlr: 1.0e-4\n")
    spec = load_spec(tmp_path / "top.yaml", seed=4)
    assert (spec.model, spec.lr, spec.seed, spec.train_files) == ("m", 1e-4, 4, ("t.parquet",))


def test_a_file_that_is_its_own_base_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("base: a.yaml\n")
    with pytest.raises(UserError, match="circle"):
        load_spec(tmp_path / "a.yaml")


@pytest.mark.parametrize("text", ["- 1\n", "a: [", "\x00"])
def test_a_file_that_is_no_mapping_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "s.yaml").write_text(text)
    with pytest.raises(UserError) as refused:
        load_spec(tmp_path / "s.yaml")
    assert refused.value.field == "spec"
