"""Samples of a question have its prompt in common: rows that hold the prompt once, and behind it several of their responses.

A group's prompt, with the schemas of its tools, is often longer than a response; verl puts it before every sample, and the
models read it as many times. Here a response sees the prompt and itself, at the positions that it has by itself, so that
probabilities and gradients are those of the samples one by one (PrefixGrouper, arXiv 2506.05433, does the same with two
attentions). Attention is computed between the responses of a row, too, and hidden: how many share a row is chosen by what
that costs. The mask is written out, which attention kernels for GPUs do not take: on the CPU alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from tensordict import TensorDict
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from mentor.inference.local.masks import FULL, attention_of

_PROMPT, _PADDING = 0, -1
"""Segments of a row; its responses are counted from 1."""
_WIDER = 1.25
"""Factor between the widths that are tried."""


def can_share(config: Any) -> bool:
    """Whether a model takes a mask of its caller's: full attention in every layer, by torch's own kernel."""
    kinds, _ = attention_of(config)
    return bool(config._attn_implementation == "sdpa" and kinds == {FULL})


@dataclass(frozen=True)
class Shared:
    """The sequences of a micro-batch in fewer rows, and the way back.

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


def share(data: TensorDict, hidden: int) -> Shared:
    """Pack a micro-batch.

    Args:
        data: of verl's, with nested ``input_ids`` and ``responses``.
        hidden: the model's width, by which its layers' products weigh against attention.
    """
    sequences, responses = data["input_ids"].unbind(), data["responses"].unbind()
    lengths = [len(whole) - len(own) for whole, own in zip(sequences, responses, strict=True)]
    groups: dict[tuple[int, ...], list[int]] = {}
    for row, (whole, length) in enumerate(zip(sequences, lengths, strict=True)):
        groups.setdefault(tuple(whole[:length].tolist()), []).append(row)
    rows = fit([(list(prompt), members) for prompt, members in groups.items()], [len(r) for r in responses], hidden)
    packed = [_row(prompt, [responses[row] for row in members]) for prompt, members in rows]
    width = max(len(ids) for ids, *_ in packed)
    ids, positions, segments = (
        pad_sequence([each[part] for each in packed], batch_first=True, padding_value=value)
        for part, value in ((0, 0), (1, 0), (2, _PADDING))
    )
    predictors, labels, owners, places = [], [], [], []
    offsets = data["input_ids"].offsets().tolist()
    for place, (prompt, members) in enumerate(rows):
        start = len(prompt)
        for row in members:
            count = len(responses[row])
            before = torch.arange(start - 1, start - 1 + count)
            before[:1] = len(prompt) - 1  # a response's first token is predicted by the prompt's last
            predictors.append(place * width + before)
            labels.append(responses[row])
            owners.append(torch.full((count,), row))
            places.append(offsets[row] + len(prompt) - 1 + torch.arange(count))
            start += count
    inputs = {"input_ids": ids, "attention_mask": _mask(segments), "position_ids": positions}
    return Shared(inputs, torch.cat(predictors), torch.cat(labels), torch.cat(owners), torch.cat(places))


Packed = list[tuple[list[int], list[int]]]
"""Rows: a prompt, and the sequences whose responses stand behind it."""


def fit(groups: Packed, responses: Sequence[int], hidden: int) -> Packed:
    """Rows of the width that costs least, from that of the longest sequence to that of the largest group.

    A row of ``n`` tokens costs ``6 hidden n`` in the products of a layer and ``2 n^2`` in masked attention, of which nothing is
    skipped; all are padded to the longest.

    Args:
        groups: every prompt with its sequences.
        responses: tokens of each sequence's response.
        hidden: see ``share``.
    """
    narrowest = max(len(prompt) + max(responses[row] for row in rows) for prompt, rows in groups)
    widest = max(len(prompt) + sum(responses[row] for row in rows) for prompt, rows in groups)
    widths = [narrowest]
    while widths[-1] < widest:
        widths.append(min(widest, math.ceil(_WIDER * widths[-1])))

    def cost(rows: Packed) -> int:
        longest = max(len(prompt) + sum(responses[row] for row in members) for prompt, members in rows)
        return len(rows) * longest * (6 * hidden + 2 * longest)

    return min((_filled(groups, responses, width) for width in widths), key=cost)


def _filled(groups: Packed, responses: Sequence[int], width: int) -> Packed:
    """First fit, the longest first."""
    rows: Packed = []
    for prompt, members in groups:
        own: list[tuple[list[int], int]] = []
        for row in sorted(members, key=lambda row: (-responses[row], row)):
            place = next((n for n, (_, room) in enumerate(own) if room >= responses[row]), None)
            if place is None:
                own.append(([row], width - len(prompt) - responses[row]))
            else:
                inside, room = own[place]
                own[place] = ([*inside, row], room - responses[row])
        rows += [(prompt, inside) for inside, _ in own]
    return rows


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
