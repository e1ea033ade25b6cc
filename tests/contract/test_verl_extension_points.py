"""verl 0.9.1 still looks as the trainer's extensions expect: one test per extension point used."""

from __future__ import annotations

import importlib.util
import inspect
import subprocess
import sys
from importlib import metadata
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from tests.support import verl_cpu  # noqa: F401  isort: skip  (before anything of verl)

import verl.trainer.ppo.v1.trainer_sync as trainer_sync
from hydra import compose, initialize_config_module
from omegaconf import OmegaConf
from verl.experimental.agent_loop import agent_loop
from verl.plugin.platform import PlatformBase, PlatformRegistry
from verl.trainer.ppo import core_algos
from verl.trainer.ppo.v1 import trainer_base
from verl.workers.engine.base import EngineRegistry
from verl.workers.rollout import base as rollout_base
from verl.workers.rollout.replica import RolloutReplica, RolloutReplicaRegistry, TokenOutput

from mentor_trainer.config import make_spec
from mentor_trainer.overrides import RunPaths, build_overrides
from mentor_trainer.verl_ext import PINNED_VERL, PLUGIN_MODULE, patches
from mentor_trainer.verl_ext.engine import MentorEngine, register_engine
from tests.support.service_process import ROOT, environment


def test_the_pinned_versions_are_installed() -> None:
    assert metadata.version("verl") == PINNED_VERL
    assert torch.__version__.startswith("2.13.0")
    assert metadata.version("TransferQueue") == "0.1.11"


def test_verl_imports_the_modules_named_in_its_variable() -> None:
    code = f"import verl, sys; assert {PLUGIN_MODULE!r} in sys.modules"
    env = environment({"VERL_USE_EXTERNAL_MODULES": PLUGIN_MODULE, "VERL_PLATFORM": "cpu"})
    done = subprocess.run([sys.executable, "-c", code], env=env, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_cpu_platform_answers_everything_that_a_platform_is_asked() -> None:
    platform = PlatformRegistry.get("cpu")
    assert platform is not None and issubclass(platform, PlatformBase)
    one = platform()  # abstract methods would refuse this
    assert one.device_name == "cpu" and one.communication_backend_name() == "gloo"
    assert not one.device_module.is_available() and one.device_module.memory_allocated() == 0
    assert not one.is_platform_available(), "it must never be chosen by detection"


@pytest.mark.parametrize("backend", ["fsdp", "fsdp2"])
def test_our_engine_is_registered_for_the_cpu_and_verls_own_stands(backend: str) -> None:
    known = EngineRegistry._engines["language_model"][backend]
    assert EngineRegistry.get_engine_cls("language_model", backend) is known["cpu"] is MentorEngine
    assert issubclass(MentorEngine, known["cuda"]) and known["cuda"] is not MentorEngine


def test_on_nvidias_gpus_verl_asks_for_the_vendors_engine_first(monkeypatch: pytest.MonkeyPatch) -> None:
    registry = {key: dict(value) for key, value in EngineRegistry._engines["language_model"].items()}
    monkeypatch.setattr(EngineRegistry, "_engines", {"language_model": registry})
    monkeypatch.setenv("VERL_ENGINE_DEVICE", "cuda")
    monkeypatch.setenv("VERL_ENGINE_VENDOR", "nvidia")
    assert EngineRegistry.get_engine_cls("language_model", "fsdp2") is registry["fsdp2"]["cuda"]
    register_engine("cuda")
    assert EngineRegistry.get_engine_cls("language_model", "fsdp2") is MentorEngine


def test_the_engine_overrides_what_verls_training_calls() -> None:
    from verl.workers.engine.base import BaseEngine

    source = inspect.getsource(BaseEngine.train_batch)
    assert source.index("forward_backward_batch(") < source.index("optimizer_step()")
    assert '"loss_mask"' in inspect.getsource(MentorEngine.__mro__[2].forward_backward_batch)


def test_the_policy_losses_that_specs_name_are_registered() -> None:
    from mentor_trainer.overrides import _LOSSES

    assert all(callable(core_algos.get_policy_loss_fn(name)) for name in _LOSSES.values())


def test_the_local_rollout_is_registered_on_both_sides() -> None:
    replica = RolloutReplicaRegistry.get("local")
    assert issubclass(replica, RolloutReplica)
    adapter = rollout_base.get_rollout_class("local")
    assert issubclass(adapter, rollout_base.BaseRollout) and not inspect.isabstract(adapter)


def test_the_local_server_answers_every_control_call_that_a_replica_makes() -> None:
    from mentor_trainer.verl_ext.rollout_local.replica import LocalServer

    source = inspect.getsource(RolloutReplica)
    called = {
        part.split(".remote(")[0].split(".")[-1] for part in source.split("server.")[1:] if ".remote(" in part[:60]
    }
    assert called >= {"wake_up", "sleep", "abort_all_requests"}
    assert [name for name in called if not hasattr(LocalServer, name)] == []


def test_token_output_has_the_fields_that_are_read() -> None:
    assert {"token_ids", "log_probs", "stop_reason", "extra_fields"} <= set(TokenOutput.model_fields)


def test_the_agent_loop_is_built_and_run_as_expected() -> None:
    given = {"trainer_config", "server_manager", "tokenizer"}
    assert given <= set(inspect.signature(agent_loop.AgentLoopBase.__init__).parameters)
    source = inspect.getsource(agent_loop.AgentLoopWorker._run_agent_loop)
    assert all(f"{name}=" in source for name in given)
    fields = set(agent_loop.AgentLoopOutput.model_fields)
    assert {"prompt_ids", "response_ids", "response_mask", "response_logprobs", "num_turns", "extra_fields"} <= fields


def test_the_trace_reaches_the_reward_manager_under_the_name_that_it_reads() -> None:
    source = inspect.getsource(agent_loop.AgentLoopWorker._compute_score)
    assert '"tool_extra_fields": np.array([o.extra_fields for o in outputs]' in source
    assert 'extra_fields["reward_extra_info"] = result["reward_extra_info"]' in source


def test_the_advantage_estimator_is_registered_and_called_with_what_it_takes() -> None:
    estimator = core_algos.get_adv_estimator_fn("grpo_mentor")
    assert {"token_level_rewards", "response_mask", "index", "config"} <= set(inspect.signature(estimator).parameters)


def test_the_trainer_is_registered_and_overrides_existing_hooks() -> None:
    mine = trainer_base.get_trainer_cls("mentor")
    assert issubclass(mine, trainer_sync.PPOTrainerSync)
    for hook in ("_balance_batch", "on_step_end", "_submit_batch_to_rollout", "_save_checkpoint"):
        assert callable(getattr(trainer_base.PPOTrainer, hook))
    loop = inspect.getsource(trainer_base.PPOTrainer.fit)
    assert "self.global_steps <= self.total_training_steps" in loop, "lowering the total must end the loop"
    once = inspect.getsource(trainer_base.PPOTrainer._step_once)
    assert once.index("_balance_batch") < once.index("_compute_old_log_prob")
    assert "_submit_batch_to_rollout(" in inspect.getsource(trainer_base.PPOTrainer._add_prompts_to_generate)


def test_the_replay_buffer_is_built_with_what_it_takes() -> None:
    from verl.trainer.ppo.v1.replay_buffer import ReplayBuffer

    from mentor_trainer.verl_ext.replay import MentorReplayBuffer

    built = inspect.getsource(trainer_base.PPOTrainer._build_replay_buffer)
    taken = [name for name in inspect.signature(MentorReplayBuffer.__init__).parameters if name != "self"]
    assert all(f"{name}=" in built for name in taken)
    source = inspect.getsource(ReplayBuffer)
    assert "time.sleep(self.poll_interval)" in source and "self._dapo_filtered_keys(partition_id)" in source


def test_the_checkpoint_callback_is_called_as_it_expects() -> None:
    from verl.trainer.ppo.checkpoint_callback import CheckpointCallback

    from mentor_trainer.verl_ext.checkpoint import ManifestCallback

    assert issubclass(ManifestCallback, CheckpointCallback)
    theirs, ours = (inspect.signature(c.on_save).parameters for c in (CheckpointCallback, ManifestCallback))
    assert list(theirs) == list(ours)
    save = inspect.getsource(trainer_base.PPOTrainer._save_checkpoint)
    assert save.rindex("checkpoint_callback.on_save") > save.index("latest_checkpointed_iteration.txt")


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_every_override_names_a_key_of_verls_configuration(device: str, tmp_path: Any) -> None:
    machine = {"n_gpus_per_node": 1, "tensor_parallel": 1} if device == "cpu" else {}
    spec = make_spec({"model": "m", "train_files": ["t.parquet"], "device": device, **machine})
    overrides = build_overrides(spec, RunPaths(checkpoints=tmp_path, attempt=tmp_path))
    with initialize_config_module("verl.trainer.config", version_base=None):
        config = compose("ppo_trainer", [o for o in overrides if not o.startswith("hydra.")])
    assert config.mentor.max_turns == 5 and config.trainer.v1.trainer_mode == "mentor"
    assert config.actor_rollout_ref.rollout.name == ("local" if device == "cpu" else "vllm")


def test_verl_accepts_the_configuration_of_a_cpu_run(tmp_path: Any) -> None:
    from verl.trainer.ppo.utils import need_critic, need_reference_policy
    from verl.utils.config import validate_config

    values = {"model": "m", "train_files": ["t"], "device": "cpu", "n_gpus_per_node": 1, "tensor_parallel": 1}
    overrides = build_overrides(make_spec(values), RunPaths(checkpoints=tmp_path, attempt=tmp_path))
    with initialize_config_module("verl.trainer.config", version_base=None):
        config = compose("ppo_trainer", [o for o in overrides if not o.startswith("hydra.")])
    assert need_reference_policy(config) and not need_critic(config)
    validate_config(config, use_reference_policy=True, use_critic=False)


def test_the_ray_job_client_has_the_methods_that_the_launcher_calls() -> None:
    from ray.job_submission import JobStatus, JobSubmissionClient

    assert {"entrypoint", "submission_id", "runtime_env"} <= set(
        inspect.signature(JobSubmissionClient.submit_job).parameters
    )
    for name in ("get_job_status", "stop_job", "get_job_logs"):
        assert callable(getattr(JobSubmissionClient, name))
    assert {s.value for s in JobStatus} >= {"PENDING", "RUNNING", "SUCCEEDED"}


def test_a_patch_refuses_a_verl_that_has_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    from verl.utils import distributed

    def changed(timeout: int, backend: str, device: str) -> None: ...

    monkeypatch.setattr(distributed, "initialize_global_process_group_ray", changed)
    with pytest.raises(patches.PatchError, match="initialize_global_process_group_ray"):
        patches.patch_process_group()


def test_the_workers_use_the_patched_functions() -> None:
    from verl.workers import engine_workers
    from verl.workers.engine.fsdp import transformer_impl

    assert engine_workers.initialize_global_process_group_ray.mentor_patched
    assert transformer_impl.CPUOffloadPolicy.mentor_patched


def test_verl_does_not_look_into_trl_for_what_trl_has_not() -> None:
    from verl.models.transformers import monkey_patch
    from verl.utils import model

    assert importlib.util.find_spec("trl") is not None, "SFT and DPO need it"
    assert not monkey_patch.is_trl_available() and not model.is_trl_available()


def test_a_patch_refuses_a_ray_that_has_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    from ray._private import services

    monkeypatch.setattr(services, "resolve_ip_for_localhost", lambda host: host)
    with pytest.raises(patches.PatchError, match="resolve_ip_for_localhost"):
        patches.keep_ray_on_loopback()


def test_ray_asks_the_patched_function_for_the_nodes_address(monkeypatch: pytest.MonkeyPatch) -> None:
    from ray._private import services, worker

    assert "services.resolve_ip_for_localhost(_node_ip_address)" in inspect.getsource(worker.init)
    monkeypatch.setattr(services, "resolve_ip_for_localhost", services.resolve_ip_for_localhost)  # put back afterwards
    patches.keep_ray_on_loopback()
    assert services.resolve_ip_for_localhost("127.0.0.1") == "127.0.0.1"


def test_an_agent_loop_is_made_with_what_verl_gives_it_and_without_hydra() -> None:
    from mentor_trainer.verl_ext.agent_loop import MentorAgentLoop

    patches.make_loops_directly()
    config = OmegaConf.create({"actor_rollout_ref": {"rollout": {}}})
    given = {"server_manager": object(), "tokenizer": SimpleNamespace(), "processor": None}
    made = agent_loop.hydra.utils.instantiate(
        config={"_target_": f"{MentorAgentLoop.__module__}.{MentorAgentLoop.__name__}"},
        trainer_config=agent_loop.DictConfigWrap(config), **given,
    )  # fmt: skip
    assert type(made) is MentorAgentLoop
    assert made.config is config and made.server_manager is given["server_manager"]


def test_a_patch_refuses_a_verl_that_makes_agent_loops_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    import hydra

    monkeypatch.setattr(agent_loop, "hydra", hydra)
    monkeypatch.setattr(inspect, "getsource", lambda module: "agent_loop = make()")
    with pytest.raises(patches.PatchError, match="agent_loop"):
        patches.make_loops_directly()


def test_patching_twice_changes_nothing() -> None:
    from verl.utils import distributed

    once = distributed.initialize_global_process_group_ray
    patches.apply()
    assert distributed.initialize_global_process_group_ray is once
