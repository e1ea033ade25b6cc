"""Overrides of verl's configuration: who may ask for which."""

from __future__ import annotations

import importlib.resources
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from mentor.errors import ForbiddenError, UserError
from mentor.jobs import policy
from mentor.reach import ReachSettings
from mentor.rpc.principal import Principal, Role, acting_for
from mentor_trainer.config import TrainSpec, make_spec
from mentor_trainer.overrides import RunPaths, build_overrides
from mentor_trainer.plain import FIGURES, WORDS, is_plain
from mentor_trainer.verl_ext.runtime import runtime_of

SUBMITTER = Principal("key:alice", frozenset({Role.SUBMIT}))
OPERATOR = Principal("key:operator", frozenset({Role.OPERATE}))
CPU: dict[str, Any] = {"device": "cpu", "n_gpus_per_node": 1, "tensor_parallel": 1}
REACHING = (
    "data.custom_cls.path=/tmp/evil.py",
    "data.custom_cls.path=pkg://evil",
    "data.custom_cls.name=Evil",
    "reward.custom_reward_function.path=/tmp/evil.py",
    "custom_reward_function.path=/tmp/evil.py",
    "reward.reward_manager.module.path=pkg://evil",
    "reward.reward_manager.name=evil",
    "actor_rollout_ref.model.external_lib=evil",
    "actor_rollout_ref.model.trust_remote_code=true",
    "actor_rollout_ref.model.path=/etc",
    "actor_rollout_ref.model.lora_adapter_path=/etc",
    "actor_rollout_ref.actor._target_=os.system",
    "actor_rollout_ref.actor.optim._target_=os.system",
    "actor_rollout_ref.actor.optim.optimizer_impl=evil",
    "actor_rollout_ref.actor.optim.optimizer=evil",
    "actor_rollout_ref.rollout.agent.agent_loop_config_path=/tmp/evil.yaml",
    "actor_rollout_ref.rollout.agent.custom_async_server.path=/tmp/evil.py",
    "actor_rollout_ref.rollout.checkpoint_engine.custom_backend_module=evil",
    "actor_rollout_ref.rollout.multi_turn.tool_config_path=/tmp/evil.yaml",
    "actor_rollout_ref.rollout.name=evil",
    "actor_rollout_ref.rollout.engine_kwargs.vllm.model=evil",
    "actor_rollout_ref.rollout.prometheus.file=/tmp/x",
    "trainer.checkpoint_callback_class=evil.Callback",
    "trainer.default_local_dir=/etc",
    "trainer.rollout_data_dir=/etc",
    "trainer.logger=[wandb]",
    "trainer.v1.sampler.custom_sampler.path=/tmp/evil.py",
    "trainer.v1.trainer_mode=evil",
    "global_profiler.finish_hook_cmd=id",
    "ray_kwargs.ray_init.runtime_env.py_executable=/tmp/evil",
    "hydra.run.dir=/etc",
    "hydra/launcher=evil",
    "hydra.searchpath=[file:///tmp]",
    "transfer_queue.backend.MooncakeStore.metadata_server=evil:1",
    "mentor.sandbox_url=evil:1",
    "mentor.stop_file=/etc/x",
    "+data.train_batch_size=4",
    "++data.train_batch_size=4",
    "~data.train_batch_size",
    "data.train_batch_size",
    "data.train_batch_size=${oc.env:HOME}",
    "data.train_batch_size=4,8",
    "data.train_batch_size=range(1,4)",
    "data.train_batch_size=4 ",
    "data.train_batch_size='4'",
    "data.train_batch_size={a:1}",
    "data@evil.train_batch_size=4",
    "actor_rollout_ref.actor.loss_agg_mode=evil",
    "actor_rollout_ref.actor.loss_agg_mode=${oc.env:HOME}",
    "--config-dir=/tmp",
    "",
)


def spec(**values: Any) -> TrainSpec:
    return make_spec({"model": "artifact:a/m", "train_files": ["artifact:a/t.parquet"], **CPU, **values})


@pytest.mark.parametrize("override", REACHING)
def test_what_imports_loads_or_points_elsewhere_is_for_operators(override: str) -> None:
    asked = spec(overrides=[override])
    with acting_for(SUBMITTER), pytest.raises(ForbiddenError, match=r"overrides\.0") as caught:
        policy.check(asked, ReachSettings())
    assert "role operate" in str(caught.value)
    with acting_for(OPERATOR):
        policy.check(asked, ReachSettings())


@pytest.mark.parametrize(
    "override",
    ["actor_rollout_ref.actor.optim.lr=3e-7", "data.shuffle=False", "actor_rollout_ref.actor.optim.betas=[0.9,0.95]",
     "actor_rollout_ref.actor.loss_agg_mode=token-mean", "trainer.total_training_steps=null", "algorithm.gamma=1.0"],
)  # fmt: skip
def test_numbers_switches_and_known_words_are_for_everybody(override: str) -> None:
    with acting_for(SUBMITTER):
        policy.check(spec(overrides=["data.seed=1", override]), ReachSettings())


def test_every_plain_setting_is_one_of_verls_and_holds_a_figure_or_a_word() -> None:
    """A name that verl drops or turns into something that it loads must leave the list."""
    folder = str(importlib.resources.files("verl") / "trainer" / "config")
    with initialize_config_dir(folder, version_base=None):
        config = compose("ppo_trainer")
    missing = object()
    for key in sorted(FIGURES):
        found = OmegaConf.select(config, key, default=missing)
        assert found is not missing, key
        assert found is None or isinstance(found, bool | int | float) or OmegaConf.is_list(found), (key, found)
    for key, words in WORDS.items():
        assert OmegaConf.select(config, key) in words, key


@given(st.text())
def test_a_value_is_plain_only_if_nothing_can_be_resolved_in_it(value: str) -> None:
    if is_plain(f"data.seed={value}"):
        assert not set(value) & set("${}'\"\\()/:;@ \n")


@pytest.mark.parametrize("text", ["${oc.env:SECRET}", r"\${oc.env:SECRET}", r"\\${oc.env:SECRET}'", "'\\", "$\n{ä}"])
def test_text_of_a_spec_is_not_resolved_however_often_verl_resolves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    """verl's main does ``OmegaConf.resolve``, after which an escaped interpolation is one again."""
    monkeypatch.setenv("SECRET", "leaked")
    (tmp_path / "c.yaml").write_text("a: 1\n")
    asked = spec(system_prompt=text, template_kwargs={f"k:{text},l": [text]})
    paths = RunPaths(checkpoints=tmp_path, attempt=tmp_path)
    ours = [o for o in build_overrides(asked, paths) if o.startswith("+mentor.")]
    with initialize_config_dir(str(tmp_path), version_base=None):
        config = compose("c", overrides=ours)
    OmegaConf.resolve(config)
    OmegaConf.resolve(config)
    assert "leaked" not in OmegaConf.to_yaml(config, resolve=True)
    runtime = runtime_of(config)
    assert (runtime.system, runtime.template_kwargs) == (text, {f"k:{text},l": [text]})


@pytest.mark.parametrize("field", ["model", "reward", "sandbox_url", "retriever_url", "output_dir", "chat_format"])
def test_a_name_with_an_interpolation_is_refused(field: str) -> None:
    with pytest.raises(UserError, match=field):
        spec(**{field: "http://x/${oc.env:HOME}"})


def test_a_ray_address_is_a_url() -> None:
    """Ray imports the scheme of an address that it does not know."""
    with pytest.raises(UserError, match="ray_address"):
        spec(ray_address="os://x")
