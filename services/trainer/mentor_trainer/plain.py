"""Overrides of verl's configuration that anybody may ask for: numbers and switches that only change how training goes.

verl imports what its configuration names (datasets, rewards, samplers, optimisers, agent loops), reads and writes where it
says, and resolves ``${...}`` from the environment. So this is a list of what is known to be harmless, never of what is not:
a setting that a later verl brings is for operators until it stands here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from mentor.errors import ForbiddenError
from mentor.rpc.principal import Role

_NUMBER = r"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?"
_FIGURES = re.compile(rf"{_NUMBER}|true|false|null|\[{_NUMBER}(?:,{_NUMBER})*\]", re.IGNORECASE)
_ACTOR, _ROLLOUT = "actor_rollout_ref.actor", "actor_rollout_ref.rollout"

FIGURES = frozenset(
    f"{prefix}.{name}"
    for prefix, names in {
        "data": "train_batch_size gen_batch_size val_batch_size train_max_samples val_max_samples max_prompt_length "
        "max_response_length shuffle validation_shuffle seed filter_overlong_prompts",
        "algorithm": "gamma lam norm_adv_by_std_in_grpo",
        "algorithm.rollout_correction": "rollout_is_threshold rollout_rs_threshold bypass_mode rollout_is_batch_normalize",
        _ACTOR: "ppo_mini_batch_size ppo_micro_batch_size_per_gpu ppo_max_token_len_per_gpu use_dynamic_bsz ppo_epochs "
        "shuffle data_loader_seed grad_clip clip_ratio clip_ratio_low clip_ratio_high clip_ratio_c tau_pos tau_neg "
        "entropy_coeff calculate_entropy use_kl_loss kl_loss_coef loss_scale_factor use_torch_compile "
        "entropy_from_logits_with_chunking entropy_checkpointing ulysses_sequence_parallel_size use_remove_padding",
        f"{_ACTOR}.optim": "lr lr_warmup_steps lr_warmup_steps_ratio weight_decay betas clip_grad min_lr_ratio num_cycles "
        "total_training_steps",
        f"{_ACTOR}.policy_loss": "clip_cov_ratio clip_cov_lb clip_cov_ub kl_cov_ratio ppo_kl_coef",
        f"{_ACTOR}.fsdp_config": "param_offload optimizer_offload offload_policy reshard_after_forward fsdp_size "
        "forward_prefetch seed full_determinism",
        "actor_rollout_ref.ref": "log_prob_micro_batch_size_per_gpu log_prob_max_token_len_per_gpu log_prob_use_dynamic_bsz",
        "actor_rollout_ref.ref.fsdp_config": "param_offload reshard_after_forward fsdp_size forward_prefetch",
        _ROLLOUT: "n temperature top_k top_p seed do_sample ignore_eos enforce_eager free_cache_engine gpu_memory_utilization "
        "tensor_model_parallel_size data_parallel_size max_num_batched_tokens max_model_len max_num_seqs "
        "enable_chunked_prefill enable_prefix_caching log_prob_micro_batch_size_per_gpu log_prob_max_token_len_per_gpu "
        "log_prob_use_dynamic_bsz calculate_log_probs layered_summon multi_stage_wake_up",
        f"{_ROLLOUT}.val_kwargs": "n temperature top_k top_p do_sample",
        "actor_rollout_ref.model": "enable_gradient_checkpointing enable_activation_offload use_remove_padding lora_rank "
        "lora_alpha use_liger use_fused_kernels",
        "trainer": "balance_batch total_epochs total_training_steps save_freq test_freq val_before_train log_val_generations "
        "max_actor_ckpt_to_keep n_gpus_per_node nnodes",
    }.items()
    for name in names.split()
)
"""Settings that take a number, a list of numbers, a switch or null."""

WORDS: dict[str, tuple[str, ...]] = {
    f"{_ACTOR}.optim.lr_scheduler_type": ("constant", "cosine"),
    f"{_ACTOR}.loss_agg_mode": ("token-mean", "seq-mean-token-sum", "seq-mean-token-mean", "seq-mean-token-sum-norm"),
    f"{_ACTOR}.kl_loss_type": ("kl", "abs", "mse", "low_var_kl", "full"),
    f"{_ACTOR}.policy_loss.loss_mode": ("vanilla", "clip_cov", "kl_cov", "gpg", "gspo", "geo_mean"),
    "algorithm.kl_penalty": ("kl", "abs", "mse", "low_var_kl", "full"),
}
"""Settings that take one of a few words."""


def is_plain(override: str) -> bool:
    """Whether an override only changes a setting: ``KEY=VALUE`` with a known key, and a value that nothing resolves."""
    key, _, value = override.partition("=")
    if key in WORDS:
        return value in WORDS[key]
    return key in FIGURES and _FIGURES.fullmatch(value) is not None


def require_plain(overrides: Iterable[str]) -> None:
    """Refuse an override that does more than change a setting.

    Raises:
        ForbiddenError: naming the first.
    """
    for index, override in enumerate(overrides):
        if not is_plain(override):
            raise ForbiddenError(
                f"overrides.{index}: {override[:200]!r} is no plain setting",
                field=f"overrides.{index}",
                allowed=f"KEY=NUMBER of {__name__}; others need the role {Role.OPERATE}",
            )
