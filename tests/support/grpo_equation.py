"""GRPO from its equation (Eq. 3 of the paper), in plain torch: no verl, no padding, one trajectory at a time.

Everything that the trainer can be told to do otherwise is a switch here too, so that each can be held against verl.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch


@dataclass(frozen=True)
class Sample:
    """One trajectory: token ids, which of the response are the model's own, and what was recorded of them.

    ``group`` is its question; ``lost``: infrastructure ended it. Without ``old`` probabilities they are those of the weights
    that are updated.
    """

    group: str
    prompt: list[int]
    response: list[int]
    mask: list[int]
    reward: float
    old: torch.Tensor | None
    reference: torch.Tensor
    engine: torch.Tensor
    lost: bool = False


@dataclass(frozen=True)
class Equation:
    """What to optimise; names as in ``TrainSpec``."""

    loss_aggregation: str = "seq-mean-token-mean"
    importance_ratio: str = "token"
    norm_by_std: bool = True
    clip_ratio: float = 0.2
    clip_ratio_high: float | None = None
    dual_clip: float | None = None
    use_kl: bool = True
    kl_coef: float = 0.001
    entropy_coef: float = 0.0
    temperature: float = 1.0
    rollout_correction: str = "none"
    rollout_correction_limit: float = 2.0
    max_response_length: int = 64


def advantages(samples: Sequence[Sample], equation: Equation) -> list[float]:
    """A_i = (R_i - mean) / (std + 1e-6) over the samples of a question that happened; alone, 0."""
    result = []
    for sample in samples:
        peers = torch.tensor([s.reward for s in samples if s.group == sample.group and not s.lost])
        if sample.lost or len(peers) < 2:
            result.append(0.0)
            continue
        scale = peers.std() + 1e-6 if equation.norm_by_std else 1.0
        result.append(float((sample.reward - peers.mean()) / scale))
    return result


def loss_of(model: Any, samples: Sequence[Sample], advantage: Sequence[float], equation: Equation) -> torch.Tensor:
    """Minus the objective over one mini-batch, differentiable by the model's weights."""
    happened = [(s, a) for s, a in zip(samples, advantage, strict=True) if not s.lost]
    terms = [_token_terms(model, s, a, equation) for s, a in happened]
    match equation.loss_aggregation:
        case "seq-mean-token-mean":
            return torch.stack([t.mean() for t in terms]).mean()
        case "token-mean":
            return torch.cat(terms).mean()
        case "seq-mean-token-sum-norm":
            return torch.stack([t.sum() for t in terms]).mean() / equation.max_response_length
    raise ValueError(equation.loss_aggregation)


def _token_terms(model: Any, sample: Sample, advantage: float, equation: Equation) -> torch.Tensor:
    """What each of the model's own tokens contributes."""
    ids = torch.tensor([sample.prompt + sample.response])
    logits = model(input_ids=ids).logits[0, len(sample.prompt) - 1 : -1] / equation.temperature
    own = torch.tensor(sample.mask, dtype=torch.bool)
    every = torch.log_softmax(logits.float(), -1)
    new = every.gather(-1, torch.tensor(sample.response)[:, None])[:, 0][own]
    old = new.detach() if sample.old is None else sample.old[own]
    reference, engine = sample.reference[own], sample.engine[own]
    ratio = _ratio(new, old, equation.importance_ratio)
    high = equation.clip_ratio if equation.clip_ratio_high is None else equation.clip_ratio_high
    gain = torch.minimum(ratio * advantage, ratio.clamp(1 - equation.clip_ratio, 1 + high) * advantage)
    if equation.dual_clip is not None and advantage < 0:
        gain = torch.maximum(gain, torch.tensor(equation.dual_clip * advantage))
    terms = -gain * _correction(old, engine, equation)
    if equation.use_kl:
        gap = reference - new
        terms = terms + equation.kl_coef * (gap.exp() - gap - 1)
    if equation.entropy_coef:
        entropy = -(every.exp() * every).sum(-1)[own]
        terms = terms - equation.entropy_coef * entropy
    return terms


def _ratio(new: torch.Tensor, old: torch.Tensor, kind: str) -> torch.Tensor:
    gap = new - old
    match kind:
        case "token":
            return gap.exp()
        case "sequence":
            return gap.mean().exp().expand_as(gap)
        case "trajectory":
            return gap.sum().exp().expand_as(gap)
    raise ValueError(kind)


def _correction(old: torch.Tensor, engine: torch.Tensor, equation: Equation) -> torch.Tensor:
    gap = old - engine
    match equation.rollout_correction:
        case "none":
            return torch.ones_like(gap)
        case "token":
            return gap.exp().clamp(max=equation.rollout_correction_limit)
        case "sequence":
            return gap.sum().exp().clamp(max=equation.rollout_correction_limit).expand_as(gap)
    raise ValueError(equation.rollout_correction)


def log_probabilities(model: Any, prompt: list[int], response: list[int], temperature: float = 1.0) -> torch.Tensor:
    """Of every token of a response, without gradient."""
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([prompt + response])).logits[0, len(prompt) - 1 : -1] / temperature
    return torch.log_softmax(logits.float(), -1).gather(-1, torch.tensor(response)[:, None])[:, 0]


def without_lost(samples: Sequence[Sample]) -> list[Sample]:
    """The batch as if what was lost had never been asked for."""
    return [s for s in samples if not s.lost]


def lose(samples: Sequence[Sample], rows: Sequence[int]) -> list[Sample]:
    """The batch with some samples ended by infrastructure: one masked token each, as the agent loop leaves them."""
    none = torch.zeros(1)
    return [
        replace(s, response=[2], mask=[0], reward=0.0, old=none, reference=none, engine=none, lost=True)
        if n in rows
        else s
        for n, s in enumerate(samples)
    ]
