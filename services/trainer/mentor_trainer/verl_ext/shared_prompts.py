"""Samples of a question have its prompt in common: a row that holds the prompt once, and behind it all their responses.

A group's prompt, with the schemas of its tools, is often longer than a response; verl puts it before every sample, and the
models read it as many times. Here a response sees the prompt and itself, at the positions that it has by itself, so that
probabilities and gradients are those of the samples one by one (PrefixGrouper, arXiv 2506.05433, does the same with two
attentions). The mask is written out, which attention kernels for GPUs do not take: on the CPU alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from tensordict import TensorDict
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

_PROMPT, _PADDING = 0, -1
"""Segments of a row; its responses are counted from 1."""


def can_share(config: Any) -> bool:
    """Whether a model takes a mask of its caller's: full attention in every layer, by torch's own kernel."""
    text = config.get_text_config()
    window = getattr(text, "sliding_window", None) if getattr(text, "use_sliding_window", True) else None
    kinds = set(getattr(text, "layer_types", None) or ["sliding_attention" if window else "full_attention"])
    return bool(config._attn_implementation == "sdpa" and kinds == {"full_attention"})


@dataclass(frozen=True)
class Shared:
    """A micro-batch of ``rows`` sequences as ``groups`` rows of ``length`` tokens, and the way back.

    ``inputs``: what the model is called with. ``predictors`` (tokens,): for each token of all responses the position, over all
    rows, whose logits predict it; ``labels`` (tokens,): those tokens; ``owners`` (tokens,): their sequences; ``places``
    (tokens,): where verl wants what is said of them among all tokens of the sequences, one before their own.
    """

    inputs: dict[str, Tensor]
    predictors: Tensor
    labels: Tensor
    owners: Tensor
    places: Tensor

    def spread(self, values: Tensor, offsets: Tensor) -> Tensor:
        """``values`` (tokens,) as verl's nested tensor over whole sequences; zero at the prompts."""
        whole = values.new_zeros(int(offsets[-1])).index_put((self.places,), values)
        return torch.nested.nested_tensor_from_jagged(whole, offsets)


def share(data: TensorDict) -> Shared:
    """Rows by prompt.

    Args:
        data: a micro-batch of verl's, with nested ``input_ids`` and ``responses``.
    """
    sequences, responses = data["input_ids"].unbind(), data["responses"].unbind()
    lengths = [len(whole) - len(own) for whole, own in zip(sequences, responses, strict=True)]
    groups: dict[tuple[int, ...], list[int]] = {}
    for row, (whole, length) in enumerate(zip(sequences, lengths, strict=True)):
        groups.setdefault(tuple(whole[:length].tolist()), []).append(row)
    packed = [_row(list(prompt), [responses[row] for row in rows]) for prompt, rows in groups.items()]
    width = max(len(ids) for ids, *_ in packed)
    ids, positions, segments = (
        pad_sequence([each[part] for each in packed], batch_first=True, padding_value=value)
        for part, value in ((0, 0), (1, 0), (2, _PADDING))
    )
    predictors, labels, owners, places = [], [], [], []
    offsets = data["input_ids"].offsets().tolist()
    for place, rows in enumerate(groups.values()):
        start = lengths[rows[0]]
        for row in rows:
            count, prompt = len(responses[row]), lengths[row]
            before = torch.arange(start - 1, start - 1 + count)
            before[:1] = prompt - 1  # a response's first token is predicted by the prompt's last
            predictors.append(place * width + before)
            labels.append(responses[row])
            owners.append(torch.full((count,), row))
            places.append(offsets[row] + prompt - 1 + torch.arange(count))
            start += count
    inputs = {"input_ids": ids, "attention_mask": _mask(segments), "position_ids": positions}
    return Shared(inputs, torch.cat(predictors), torch.cat(labels), torch.cat(owners), torch.cat(places))


def _row(prompt: Sequence[int], responses: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """Token ids, positions and segments of one prompt and its responses."""
    length = len(prompt)
    ids = torch.cat([torch.tensor(prompt, dtype=torch.long), *responses])
    positions = torch.cat([torch.arange(length), *(length + torch.arange(len(own)) for own in responses)])
    sizes = torch.tensor([length, *map(len, responses)])
    return ids, positions, torch.repeat_interleave(torch.arange(len(sizes)), sizes)


def _mask(segments: Tensor) -> Tensor:
    """Who sees whom: (rows, 1, query, key). Padding sees itself, since a softmax over nothing is none."""
    query, key = segments[:, :, None], segments[:, None, :]
    width = segments.shape[1]
    earlier = torch.ones(width, width, dtype=torch.bool).tril()
    itself = torch.eye(width, dtype=torch.bool)
    seen = earlier & ((key == _PROMPT) | (key == query)) & (query != _PADDING)
    return (seen | itself)[:, None]
