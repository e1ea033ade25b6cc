"""Vectorised sampling of one token per row."""

from __future__ import annotations

import torch
from torch import Tensor


def sample(
    logits: Tensor, temperature: Tensor, top_k: Tensor, top_p: Tensor, uniforms: Tensor
) -> tuple[Tensor, Tensor]:
    """Choose one token per row by inverting the distribution function at a given uniform number.

    Args:
        logits: [rows, vocabulary].
        temperature: [rows]; 0 means greedy.
        top_k: [rows]; -1 keeps all.
        top_p: [rows]; 1 keeps all.
        uniforms: [rows], in [0, 1). A row's token depends on its own logits and number alone, never on its neighbours.

    Returns:
        Token ids and their log-probabilities, both [rows]: log_softmax(logits / temperature) before any truncation, as
        the trainer computes them; a greedy row's are those at temperature 1.
    """
    greedy = temperature <= 0
    scaled = logits.float() / torch.where(greedy, 1.0, temperature)[:, None]
    logprobs = scaled.log_softmax(-1)
    best = logits.argmax(-1)
    if bool(greedy.all()):
        tokens = best
    else:
        kept = _truncate(logprobs, top_k, top_p)
        # In float64, so that the tail of a large vocabulary is not lost in the running sum.
        running = kept.double().exp().cumsum(-1)
        target = uniforms.double() * running[:, -1]
        drawn = torch.searchsorted(running, target[:, None], right=True).squeeze(1).clamp_(max=logits.shape[-1] - 1)
        tokens = torch.where(greedy, best, drawn)
    return tokens, logprobs.gather(1, tokens[:, None]).squeeze(1)


def _truncate(logprobs: Tensor, top_k: Tensor, top_p: Tensor) -> Tensor:
    """Log-probabilities with everything outside top-k and top-p at minus infinity; untouched where neither is set."""
    size = logprobs.shape[-1]
    if not bool(((top_k > 0) & (top_k < size)).any() or (top_p < 1).any()):
        return logprobs
    ordered, order = logprobs.sort(dim=-1, descending=True, stable=True)
    rank = torch.arange(size)[None]
    limit = torch.where(top_k > 0, top_k, size)[:, None]
    probs = torch.where(rank < limit, ordered.exp(), 0.0)
    probs = probs / probs.sum(-1, keepdim=True)
    # A token is kept while the mass before it is below top_p, so the first is always kept.
    keep = (rank < limit) & ((probs.cumsum(-1) - probs < top_p[:, None]) | (top_p[:, None] >= 1))
    return torch.full_like(logprobs, float("-inf")).scatter(1, order, ordered.where(keep, float("-inf")))
