"""Samples lost to infrastructure are out of their group before its mean and deviation are formed.

Every test goes through ``compute_advantage_for_multi_trajectories``, the function that verl's trainer calls.
"""

from __future__ import annotations

from tests.support import verl_cpu  # noqa: F401  isort: skip  (before anything of verl)

from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from tensordict import TensorDict
from verl.protocol import DataProto
from verl.trainer.ppo.core_algos import agg_loss, compute_grpo_outcome_advantage
from verl.trainer.ppo.v1.utils import compute_advantage_for_multi_trajectories

LENGTH = 6


def batch(rewards: list[float], groups: list[str], lost: set[int]) -> tuple[torch.Tensor, torch.Tensor, np.ndarray]:
    """Token rewards (on the last token), masks with observation holes, and groups; lost rows are masked whole."""
    mask = torch.ones(len(rewards), LENGTH, dtype=torch.int64)
    mask[:, 2] = 0  # an observation
    tokens = torch.zeros(len(rewards), LENGTH)
    tokens[:, -1] = torch.tensor(rewards)
    for row in lost:
        mask[row] = 0
    return tokens, mask, np.array(groups, dtype=object)


def through_verl(tokens: torch.Tensor, mask: torch.Tensor, groups: np.ndarray, *, by_std: bool = True) -> torch.Tensor:
    """Advantages as verl's trainer gets them."""
    data = DataProto(
        batch=TensorDict({"token_level_rewards": tokens, "response_mask": mask}, batch_size=len(tokens)),
        non_tensor_batch={"uid": groups},
    )
    config: Any = OmegaConf.create({"norm_adv_by_std_in_grpo": by_std})
    keys = [f"{group}_{i}_0" for i, group in enumerate(groups)]
    done = compute_advantage_for_multi_trajectories(
        data, keys, adv_estimator="grpo_mentor", norm_adv_by_std_in_grpo=by_std, config=config
    )
    assert torch.equal(done.batch["advantages"], done.batch["returns"])
    return done.batch["advantages"]


def verls_own(tokens: torch.Tensor, mask: torch.Tensor, groups: np.ndarray, *, by_std: bool = True) -> torch.Tensor:
    return compute_grpo_outcome_advantage(tokens, mask, groups, norm_adv_by_std_in_grpo=by_std)[0]


@pytest.mark.parametrize("by_std", [True, False])
def test_without_losses_it_is_verls_own_grpo(by_std: bool) -> None:
    given = batch([1.0, 0.0, 0.5, 0.3, 0.3, 1.1], list("aaabbb"), set())
    assert torch.equal(through_verl(*given, by_std=by_std), verls_own(*given, by_std=by_std))


@pytest.mark.parametrize("by_std", [True, False])
@pytest.mark.parametrize("lost", [{0}, {3}, {0, 5}, {1, 4, 6}])
def test_survivors_get_the_advantages_of_the_group_without_the_lost(lost: set[int], by_std: bool) -> None:
    rewards, groups = [1.0, 0.0, 0.5, 0.25, 0.3, 1.1, 0.7, 0.1], list("aaaabbbb")
    tokens, mask, index = batch(rewards, groups, lost)
    kept = [row for row in range(len(rewards)) if row not in lost]
    reduced = verls_own(tokens[kept], mask[kept], index[kept], by_std=by_std)
    got = through_verl(tokens, mask, index, by_std=by_std)
    assert torch.equal(got[kept], reduced)
    assert got[sorted(lost)].abs().max() == 0


def test_what_a_lost_sample_would_have_scored_changes_nothing() -> None:
    groups = list("aaaa")
    one = through_verl(*batch([1.0, 0.0, 0.5, 0.0], groups, {3}))
    other = through_verl(*batch([1.0, 0.0, 0.5, 99.0], groups, {3}))
    assert torch.equal(one, other)


def test_scoring_a_lost_sample_zero_would_have_changed_the_others() -> None:
    """The reason for all this: masking the loss alone is not enough."""
    tokens, mask, groups = batch([1.0, 0.5, 0.75, 0.0], list("aaaa"), {3})
    assert not torch.allclose(verls_own(tokens, mask, groups)[:3], through_verl(tokens, mask, groups)[:3])


def test_a_single_survivor_has_no_advantage() -> None:
    assert through_verl(*batch([0.9, 0.0, 0.0], list("aaa"), {1, 2})).abs().max() == 0


def test_a_group_lost_whole_has_no_advantage_and_no_nan() -> None:
    got = through_verl(*batch([0.0, 0.0, 1.0, 0.0], list("aabb"), {0, 1}))
    assert torch.isfinite(got).all() and got[:2].abs().max() == 0 and got[2:].abs().max() > 0


def test_observation_tokens_have_no_advantage() -> None:
    assert through_verl(*batch([1.0, 0.0], list("aa"), set()))[:, 2].abs().max() == 0


@pytest.mark.parametrize("mode", ["seq-mean-token-mean", "token-mean", "seq-mean-token-sum-norm"])
def test_a_lost_sample_contributes_nothing_to_the_loss(mode: str) -> None:
    _, mask, _ = batch([0.0] * 4, list("aaaa"), {3})
    losses = torch.randn(4, LENGTH, requires_grad=True)
    whole = agg_loss(losses, mask, mode)
    assert torch.allclose(whole, agg_loss(losses[:3], mask[:3], mode))
    (gradient,) = torch.autograd.grad(whole, losses)
    assert gradient[3].abs().max() == 0 and gradient[:, 2].abs().max() == 0
