"""A spec as hydra overrides of verl's ``ppo_trainer`` configuration. Pure: same spec, same list."""

from __future__ import annotations

import importlib.resources
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mentor.trajectory import Frozen
from mentor_trainer.config import TrainSpec

Pairs = Iterator[tuple[str, Any]]
_LOSSES = {"token": "vanilla", "sequence": "gspo", "trajectory": "mentor_trajectory"}
"""verl's name of the policy loss for each importance ratio."""
_NO_DUAL_CLIP = 1e9
"""verl's bound cannot be left out: beyond any ratio that its own clamp (e^20) lets through."""


class RunPaths(Frozen):
    """Where an attempt reads and writes. ``resume_from`` is a whole checkpoint's folder, or None to start afresh."""

    checkpoints: Path
    attempt: Path
    resume_from: Path | None = None


def build_overrides(spec: TrainSpec, paths: RunPaths) -> list[str]:
    """Overrides for this spec, the user's own last so that they win."""
    pairs = [*_data(spec), *_algorithm(spec), *_actor(spec), *_rollout(spec), *_trainer(spec, paths)]
    pairs += [*(_cpu(spec) if spec.device == "cpu" else _gpu(spec)), *_mentor(spec, paths)]
    return [f"{key}={literal(value)}" for key, value in pairs] + list(spec.overrides)


def literal(value: Any) -> str:
    """A value in hydra's override grammar. Strings are quoted, so that no character of a path has a meaning."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{key}:{literal(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(literal, value)) + "]"
    return "'" + _escape(str(value)) + "'"


def _escape(text: str) -> str:
    """Hydra keeps backslashes except before a quote; OmegaConf, which reads next, keeps them except before ``${``.

    A run of backslashes before either counts double, as does one at the end, where the closing quote follows.
    """
    guarded = re.sub(r"(\\*)\$\{", r"\1\1\\${", text)
    return re.sub(r"(\\*)('|$)", lambda run: run[1] * 2 + ("\\'" if run[2] else ""), guarded)


def _data(spec: TrainSpec) -> Pairs:
    yield "data.train_files", list(spec.train_files)
    yield "data.val_files", list(spec.val_files or spec.train_files[:1])  # verl builds a validation set even if unused
    yield "data.train_max_samples", spec.train_max_samples
    yield "data.val_max_samples", spec.val_max_samples if spec.val_files else 1
    yield "data.custom_cls.path", "pkg://mentor_trainer.verl_ext.dataset"
    yield "data.custom_cls.name", "MentorDataset"
    yield "data.train_batch_size", spec.train_batch_size
    yield "data.max_prompt_length", spec.max_prompt_length
    yield "data.max_response_length", spec.max_response_length
    if spec.questions_by_rate.needed:
        yield "+data.curriculum", spec.questions_by_rate.model_dump()
    yield "data.shuffle", spec.shuffle
    yield "data.seed", spec.seed
    yield "data.dataloader_num_workers", 0


def _algorithm(spec: TrainSpec) -> Pairs:
    yield "algorithm.adv_estimator", "grpo_mentor"
    yield "algorithm.norm_adv_by_std_in_grpo", spec.norm_by_std
    yield "algorithm.use_kl_in_reward", False
    yield "algorithm.filter_groups.enable", spec.dynamic_sampling  # verl then reads questions one by one
    yield (
        "algorithm.rollout_correction.rollout_is",
        None if spec.rollout_correction == "none" else spec.rollout_correction,
    )
    yield "algorithm.rollout_correction.rollout_is_threshold", spec.rollout_correction_limit
    sampler = "trainer.v1.sampler"
    yield f"{sampler}.custom_sampler.path", "pkg://mentor_trainer.verl_ext.replay"
    yield f"{sampler}.custom_sampler.name", "MentorReplayBuffer"
    yield f"+{sampler}.sampler_kwargs.dynamic", spec.dynamic_sampling
    yield f"+{sampler}.sampler_kwargs.max_batches", spec.dynamic_sampling_batches
    yield f"+{sampler}.sampler_kwargs.train_batch_size", spec.train_batch_size
    yield "critic.enable", False
    yield "reward.num_workers", 1
    yield "reward.reward_manager.source", "importlib"
    yield "reward.reward_manager.name", "MentorRewardManager"
    yield "reward.reward_manager.module.path", "pkg://mentor_trainer.verl_ext.reward"


def _actor(spec: TrainSpec) -> Pairs:
    actor, model = "actor_rollout_ref.actor", "actor_rollout_ref.model"
    yield f"{model}.path", spec.model
    yield f"{model}.enable_gradient_checkpointing", spec.gradient_checkpointing
    yield f"{actor}.strategy", "fsdp2"
    yield f"{actor}.optim.lr", spec.lr
    yield f"{actor}.optim.lr_warmup_steps", spec.lr_warmup_steps
    yield f"{actor}.optim.weight_decay", spec.weight_decay
    yield f"{actor}.optim.clip_grad", spec.grad_clip
    yield f"{actor}.grad_clip", spec.grad_clip
    yield f"{actor}.ppo_mini_batch_size", spec.mini_batch_size
    yield f"{actor}.ppo_epochs", spec.ppo_epochs
    # With a teacher in its place the reference is asked for its probabilities, and its KL is measured; it costs nothing there.
    yield f"{actor}.use_kl_loss", spec.use_kl or spec.distil_model is not None
    yield f"{actor}.kl_loss_coef", spec.kl_coef if spec.use_kl else 0.0
    yield f"{actor}.kl_loss_type", "low_var_kl"
    yield f"{actor}.policy_loss.loss_mode", _LOSSES[spec.importance_ratio]
    yield f"{actor}.clip_ratio", spec.clip_ratio
    yield f"{actor}.clip_ratio_low", spec.clip_ratio
    yield f"{actor}.clip_ratio_high", spec.clip_ratio_high or spec.clip_ratio
    yield f"{actor}.clip_ratio_c", spec.dual_clip or _NO_DUAL_CLIP
    yield f"{actor}.entropy_coeff", spec.entropy_coef
    yield f"{actor}.loss_agg_mode", spec.loss_aggregation
    # Without it verl divides by the longest response of a micro-batch, so that the loss hangs on how batches are cut.
    yield f"{actor}.loss_scale_factor", spec.max_response_length
    yield f"{actor}.shuffle", False  # the data are shuffled; mini-batches keep groups whole
    yield f"{actor}.checkpoint.save_contents", ["model", "optimizer", "extra", "hf_model"]
    yield f"{actor}.checkpoint.load_contents", ["model", "optimizer", "extra"]
    if spec.lora_rank:
        yield f"{model}.lora_rank", spec.lora_rank
        yield f"{model}.lora_alpha", 2 * spec.lora_rank


def _rollout(spec: TrainSpec) -> Pairs:
    rollout = "actor_rollout_ref.rollout"
    yield f"{rollout}.name", spec.rollout_backend
    yield f"{rollout}.mode", "async"
    yield f"{rollout}.n", spec.rollouts
    yield f"{rollout}.temperature", spec.temperature
    yield f"{rollout}.top_p", spec.top_p
    yield f"{rollout}.seed", spec.seed
    yield f"{rollout}.val_kwargs.n", spec.val_rollouts
    yield f"{rollout}.val_kwargs.temperature", spec.val_temperature
    yield f"{rollout}.val_kwargs.do_sample", spec.val_temperature > 0
    yield f"{rollout}.max_model_len", min(spec.max_sequence_length, spec.max_prompt_length + spec.max_response_length)
    yield f"{rollout}.tensor_model_parallel_size", spec.tensor_parallel
    yield f"{rollout}.calculate_log_probs", True
    if spec.deterministic:
        yield f"{rollout}.max_num_seqs", 1
    yield f"{rollout}.agent.default_agent_loop", "mentor"
    yield f"{rollout}.agent.agent_loop_config_path", str(agent_loop_file())


def agent_loop_file() -> Path:
    """The YAML by which verl finds our agent loop."""
    return Path(str(importlib.resources.files("mentor_trainer") / "verl_ext" / "agent_loop.yaml"))


def _trainer(spec: TrainSpec, paths: RunPaths) -> Pairs:
    yield "trainer.v1.trainer_mode", "mentor"
    yield "trainer.device", spec.device
    yield "trainer.n_gpus_per_node", spec.n_gpus_per_node
    yield "trainer.nnodes", spec.nnodes
    yield "trainer.project_name", "mentor"
    yield "trainer.experiment_name", spec.name
    yield "trainer.logger", [*dict.fromkeys(["file", *spec.loggers])]  # the file is what the supervisor follows
    yield "trainer.total_epochs", spec.total_epochs if spec.total_steps is None else 10**6
    yield "trainer.total_training_steps", spec.total_steps
    yield "trainer.save_freq", spec.save_freq if spec.save_freq > 0 else 10**9  # the last step is always saved
    yield "trainer.test_freq", spec.test_freq
    yield "trainer.val_before_train", spec.val_before_train
    yield "trainer.default_local_dir", str(paths.checkpoints)
    yield "trainer.max_actor_ckpt_to_keep", spec.max_checkpoints
    yield "trainer.checkpoint_callback_class", "mentor_trainer.verl_ext.checkpoint.ManifestCallback"
    yield "trainer.resume_mode", "resume_path" if paths.resume_from else "disable"
    yield "trainer.resume_from_path", str(paths.resume_from) if paths.resume_from else None
    yield "hydra.run.dir", str(paths.attempt / "hydra")


def _cpu(spec: TrainSpec) -> Pairs:
    """What a CPU needs: float32 throughout, no compilation, one of every worker, a private little Ray."""
    for part in ("actor", "ref"):
        prefix = f"actor_rollout_ref.{part}"
        yield f"{prefix}.fsdp_config.dtype", "float32"
        yield f"{prefix}.fsdp_config.model_dtype", "fp32"
        yield f"+{prefix}.fsdp_config.mixed_precision.param_dtype", "fp32"
        yield f"{prefix}.fsdp_config.use_torch_compile", False
        yield f"{prefix}.use_torch_compile", False
    micro = largest_divisor(
        spec.mini_batch_size * spec.rollouts // spec.n_gpus_per_node // spec.nnodes, spec.micro_batch_size
    )
    for part in ("actor", "ref", "rollout"):
        name = "ppo_micro_batch_size_per_gpu" if part == "actor" else "log_prob_micro_batch_size_per_gpu"
        yield f"actor_rollout_ref.{part}.{name}", micro
    yield "actor_rollout_ref.model.use_remove_padding", False
    yield "+actor_rollout_ref.model.override_config.attn_implementation", "sdpa"
    yield "actor_rollout_ref.rollout.dtype", "float32"
    yield "actor_rollout_ref.rollout.free_cache_engine", False
    yield "actor_rollout_ref.rollout.load_format", "auto"
    yield "actor_rollout_ref.rollout.agent.num_workers", 1
    yield "transfer_queue.backend.SimpleStorage.num_data_storage_units", 1
    if spec.ray_address is None:  # a cluster's nodes say themselves what they have
        yield "ray_kwargs.ray_init.num_cpus", 7 + spec.n_gpus_per_node  # logical: every actor asks for one
        yield "+ray_kwargs.ray_init.num_gpus", spec.n_gpus_per_node  # logical: verl's resource check knows nothing else
        yield "+ray_kwargs.ray_init.object_store_memory", 200_000_000


def largest_divisor(number: int, limit: int) -> int:
    """Largest divisor of ``number`` that is at most ``limit``: verl wants mini-batches to split evenly."""
    return max(d for d in range(1, min(number, limit) + 1) if number % d == 0)


def _gpu(spec: TrainSpec) -> Pairs:
    """FSDP2 in bfloat16 on packed sequences, dynamic batches."""
    tokens = max(spec.max_tokens_per_gpu, spec.max_prompt_length + spec.max_response_length)
    yield "actor_rollout_ref.model.use_remove_padding", True
    yield "actor_rollout_ref.actor.use_dynamic_bsz", True
    yield "actor_rollout_ref.actor.ppo_max_token_len_per_gpu", tokens
    yield "actor_rollout_ref.rollout.log_prob_max_token_len_per_gpu", tokens
    yield "actor_rollout_ref.ref.log_prob_max_token_len_per_gpu", tokens
    yield "actor_rollout_ref.actor.fsdp_config.param_offload", spec.offload
    yield "actor_rollout_ref.actor.fsdp_config.optimizer_offload", spec.offload
    yield "actor_rollout_ref.ref.fsdp_config.param_offload", True
    yield "actor_rollout_ref.rollout.gpu_memory_utilization", spec.gpu_memory_utilization
    yield "actor_rollout_ref.rollout.max_num_batched_tokens", tokens
    yield "actor_rollout_ref.rollout.load_format", "safetensors" if spec.lora_rank else "dummy"
    if spec.rollout_backend == "local":  # its weights stay where they are
        yield "actor_rollout_ref.rollout.free_cache_engine", False


def _mentor(spec: TrainSpec, paths: RunPaths) -> Pairs:
    """The ``mentor`` section; see ``verl_ext.runtime.Runtime``."""
    section = {
        "reward": spec.reward,
        "reward_weights_end": spec.reward_weights_end and spec.reward_weights_end.model_dump(),
        "reward_anneal_steps": spec.reward_anneal_steps,
        "distil_coef": spec.distil_coef if spec.distil_model else None,
        "distil_alone": spec.distil_alone,
        "judge": spec.judge,
        "chat_format": spec.chat_format,
        "seed": spec.seed,
        "max_turns": spec.max_turns,
        "max_response_tokens": spec.max_response_length,
        "max_turn_tokens": spec.max_turn_tokens,
        "max_context_tokens": spec.max_sequence_length,
        "max_consecutive_invalid": spec.max_consecutive_invalid,
        "turn_timeout_s": spec.turn_timeout_s,
        "trajectory_timeout_s": spec.trajectory_timeout_s,
        "tools": spec.tools,
        "sandbox_url": spec.sandbox_url,
        "retriever_url": spec.retriever_url,
        "infrastructure_wait_s": spec.infrastructure_wait_s,
        "max_failed_fraction": spec.max_failed_fraction,
        "stop_file": str(paths.attempt / "stop"),
        "rollouts_dir": str(paths.attempt / "rollouts") if spec.save_rollouts else None,
    }
    for key, value in section.items():
        yield f"+mentor.{key}", value
    yield "+mentor.texts", _inert({"system": spec.system_prompt, "template_kwargs": spec.template_kwargs})


def _inert(value: Any) -> str:
    """JSON in which hydra, OmegaConf and verl, which resolves twice, find nothing to resolve."""
    return json.dumps(value).replace("$", "\\u0024")
