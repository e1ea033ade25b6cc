"""The set of sequences being decoded: admitted, advanced by one token each, and dropped, as a few tensor operations.

Rows are padded on the left to a common length, so that every step is one forward of shape [rows, 1] over one cache. The cache
lies where the model does; what is kept of a row (mask, counts, tokens) stays on the CPU, where tokens are drawn too, so that
the same seed draws the same tokens on every device that gives the same probabilities.
Nothing here knows of asyncio or threads; one thread owns a batch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel

from mentor.inference.base import SamplingParams
from mentor.inference.local.sampling import sample

NO_TOKEN = -1


@dataclass(eq=False)
class Row:
    """One request and what has been generated for it.

    ``tokens`` and ``logprobs`` are filled when the row leaves the batch; ``on_token`` is called for every token as it
    is drawn. ``uniforms`` has one number in [0, 1) per token that may be generated.
    """

    prompt: Sequence[int]
    params: SamplingParams
    max_tokens: int
    stop_ids: tuple[int, ...]
    uniforms: Tensor
    on_token: Callable[[int, float], None] | None = None
    tokens: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    finish_reason: str | None = None
    aborted: bool = False


class Batch:
    """The live rows.

    Args:
        model: a causal language model in evaluation mode.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        self.model = model
        self.rows: list[Row] = []
        self._cache: DynamicCache | None = None
        self._columns: dict[str, Tensor] = {}

    def __len__(self) -> int:
        return len(self.rows)

    @torch.inference_mode()
    def admit(self, arrivals: list[Row]) -> list[Row]:
        """Prefill ``arrivals``, draw their first token and join them to the live rows.

        Sequences with the same context share one prefill.

        Returns:
            Those that ended with that token.
        """
        if not arrivals:
            return []
        contexts = [(*row.prompt, *row.tokens) for row in arrivals]
        distinct = {context: index for index, context in enumerate(dict.fromkeys(contexts))}
        ids, mask = _left_pad(list(distinct))
        cache = DynamicCache(config=self.model.config)
        logits = self._forward(ids, mask, (mask.cumsum(-1) - 1).clamp_(min=0), cache)
        order = torch.tensor([distinct[context] for context in contexts])
        cache.batch_select_indices(order.to(self.model.device))
        self._join(arrivals, cache, {"mask": mask[order], **_columns_of(arrivals)})
        fresh = torch.arange(len(self.rows) - len(arrivals), len(self.rows))
        self._draw(fresh, logits[order])
        return self._drop_finished()

    @torch.inference_mode()
    def step(self) -> list[Row]:
        """Advance every live row by one token.

        Returns:
            The rows that ended.
        """
        assert self._cache is not None
        column = self._columns
        column["mask"] = torch.cat([column["mask"], column["mask"].new_ones(len(self.rows), 1)], dim=1)
        position = column["mask"].sum(-1, keepdim=True) - 1
        logits = self._forward(column["last"][:, None], column["mask"], position, self._cache)
        self._draw(torch.arange(len(self.rows)), logits)
        return self._drop_finished()

    def drop_aborted(self) -> list[Row]:
        """Take out the rows whose caller has gone."""
        keep = [index for index, row in enumerate(self.rows) if not row.aborted]
        return self._keep(keep) if len(keep) < len(self.rows) else []

    def evict(self) -> list[Row]:
        """Take out every row, with what it has so far, to be admitted again (the weights are about to change)."""
        return self._keep([])

    def _forward(self, ids: Tensor, mask: Tensor, position: Tensor, cache: DynamicCache) -> Tensor:
        device = self.model.device
        output = self.model(
            input_ids=ids.to(device),
            attention_mask=mask.to(device),
            position_ids=position.to(device),
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        )
        return cast(Tensor, output.logits[:, -1]).to("cpu", torch.float32)

    def _draw(self, rows: Tensor, logits: Tensor) -> None:
        c = self._columns
        count = c["count"][rows]
        uniforms = c["uniforms"][rows, count]
        tokens, logprobs = sample(logits, c["temperature"][rows], c["top_k"][rows], c["top_p"][rows], uniforms)
        c["tokens"][rows, count] = tokens
        c["logprobs"][rows, count] = logprobs
        c["last"][rows] = tokens
        c["count"][rows] = count + 1
        if bool(c["streamed"][rows].any()):
            self._notify(rows.tolist(), tokens.tolist(), logprobs.tolist())

    def _notify(self, rows: list[int], tokens: list[int], logprobs: list[float]) -> None:
        for row, token, logprob in zip(rows, tokens, logprobs, strict=True):
            on_token = self.rows[row].on_token
            if on_token is not None:
                on_token(token, logprob)

    def _drop_finished(self) -> list[Row]:
        c = self._columns
        stopped = (c["stop_ids"] == c["last"][:, None]).any(-1)
        ended = stopped | (c["count"] >= c["limit"])
        if not bool(ended.any()):
            return []
        for index in ended.nonzero().flatten().tolist():
            self.rows[index].finish_reason = "stop" if stopped[index] else "length"
        return self._keep((~ended).nonzero().flatten().tolist())

    def _keep(self, indices: list[int]) -> list[Row]:
        """Keep these rows; write what the others generated into them and return them."""
        kept = set(indices)
        gone = [index for index in range(len(self.rows)) if index not in kept]
        left = [self.rows[index] for index in gone]
        counts = self._columns["count"].tolist() if gone else []
        for index in gone:
            row, count = self.rows[index], counts[index]
            row.tokens = self._columns["tokens"][index, :count].tolist()
            row.logprobs = self._columns["logprobs"][index, :count].tolist()
        self.rows = [self.rows[index] for index in indices]
        if not self.rows:
            self._cache, self._columns = None, {}
            return left
        assert self._cache is not None
        chosen = torch.tensor(indices)
        self._columns = {name: column[chosen] for name, column in self._columns.items()}
        self._cache.batch_select_indices(chosen.to(self.model.device))
        self._trim()
        return left

    def _trim(self) -> None:
        """Cut leading columns that are padding in every row."""
        assert self._cache is not None
        mask = self._columns["mask"]
        start = int(mask.any(0).to(torch.uint8).argmax())
        if start == 0:
            return
        self._columns["mask"] = mask[:, start:]
        for layer in self._cache.layers:
            keys, values = _tensors(layer)
            _fill(layer, keys[:, :, start:], values[:, :, start:])

    def _join(self, arrivals: list[Row], cache: DynamicCache, columns: dict[str, Tensor]) -> None:
        self.rows = self.rows + arrivals
        if self._cache is None:
            self._cache, self._columns = cache, columns
            return
        for old, new in zip(self._cache.layers, cache.layers, strict=True):
            (keys, values), (new_keys, new_values) = _tensors(old), _tensors(new)
            _fill(old, _stack(keys, new_keys, 2), _stack(values, new_values, 2))
        self._columns = {name: _JOIN[name](self._columns[name], column) for name, column in columns.items()}


def _tensors(layer: Any) -> tuple[Tensor, Tensor]:
    """Keys and values of a filled layer, shape [rows, heads, length, head size]."""
    return layer.keys, layer.values


def _fill(layer: Any, keys: Tensor, values: Tensor) -> None:
    layer.keys, layer.values = keys, values


def _columns_of(arrivals: list[Row]) -> dict[str, Tensor]:
    """Per-row state as tensors, one row per sequence."""
    width = max(row.max_tokens for row in arrivals)
    columns: dict[str, Tensor] = {
        "temperature": torch.tensor([row.params.temperature for row in arrivals]),
        "top_p": torch.tensor([row.params.top_p for row in arrivals]),
        "top_k": torch.tensor([row.params.top_k for row in arrivals]),
        "limit": torch.tensor([row.max_tokens for row in arrivals]),
        "count": torch.tensor([len(row.tokens) for row in arrivals]),
        "last": torch.zeros(len(arrivals), dtype=torch.long),
        "streamed": torch.tensor([row.on_token is not None for row in arrivals]),
        "stop_ids": torch.full((len(arrivals), max(len(row.stop_ids) for row in arrivals) or 1), NO_TOKEN),
        "uniforms": torch.zeros(len(arrivals), width),
        "tokens": torch.zeros(len(arrivals), width, dtype=torch.long),
        "logprobs": torch.zeros(len(arrivals), width),
    }
    for index, row in enumerate(arrivals):
        columns["uniforms"][index, : row.max_tokens] = row.uniforms
        columns["stop_ids"][index, : len(row.stop_ids)] = torch.tensor(row.stop_ids, dtype=torch.long)
        columns["tokens"][index, : len(row.tokens)] = torch.tensor(row.tokens, dtype=torch.long)
        columns["logprobs"][index, : len(row.logprobs)] = torch.tensor(row.logprobs)
    return columns


def _left_pad(contexts: list[tuple[int, ...]]) -> tuple[Tensor, Tensor]:
    longest = max(len(context) for context in contexts)
    ids = torch.zeros(len(contexts), longest, dtype=torch.long)
    mask = torch.zeros(len(contexts), longest, dtype=torch.long)
    for index, context in enumerate(contexts):
        ids[index, longest - len(context) :] = torch.tensor(context)
        mask[index, longest - len(context) :] = 1
    return ids, mask


def _stack(old: Tensor, new: Tensor, dim: int, *, left: bool = True, value: float = 0) -> Tensor:
    """Concatenate along the rows after padding the shorter one along ``dim``."""
    width = max(old.shape[dim], new.shape[dim])
    return torch.cat([_pad(old, dim, width, left, value), _pad(new, dim, width, left, value)])


def _pad(tensor: Tensor, dim: int, width: int, left: bool, value: float) -> Tensor:
    missing = width - tensor.shape[dim]
    if missing == 0:
        return tensor
    shape = list(tensor.shape)
    shape[dim] = missing
    filler = tensor.new_full(shape, value)
    return torch.cat([filler, tensor] if left else [tensor, filler], dim=dim)


def _plain(old: Tensor, new: Tensor) -> Tensor:
    return torch.cat([old, new])


def _wide(old: Tensor, new: Tensor) -> Tensor:
    return _stack(old, new, 1, left=False)


_JOIN: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "mask": lambda old, new: _stack(old, new, 1),
    "stop_ids": lambda old, new: _stack(old, new, 1, left=False, value=NO_TOKEN),
    "uniforms": _wide,
    "tokens": _wide,
    "logprobs": _wide,
    **dict.fromkeys(("temperature", "top_p", "top_k", "limit", "count", "last", "streamed"), _plain),
}
