"""The set of sequences being decoded: admitted, advanced by one token each, and dropped, as a few tensor operations.

Every step is one forward of shape [rows, 1] over the slots of the live rows (``slots``), which lie where the model does; what
is kept of a row (counts, tokens) stays on the CPU, where tokens are drawn too, so that the same seed draws the same tokens on
every device that gives the same probabilities.
Nothing here knows of asyncio or threads; one thread owns a batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import cast

import torch
from torch import Tensor
from torch.nn.functional import pad
from transformers import PreTrainedModel

from mentor.inference.base import SamplingParams
from mentor.inference.local.masks import Masks
from mentor.inference.local.prefixes import PrefixIndex
from mentor.inference.local.sampling import sample
from mentor.inference.local.slots import Slots, Window
from mentor.inference.local.weights import context_length

NO_TOKEN = -1
_WORTH = 8
"""Tokens in common from which on keys and values are taken over."""
_PADDED = 32
"""Tokens by which prompts that are prefilled together may differ, beside a factor of two."""


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


@dataclass(frozen=True)
class _Placed:
    """A context in its slot, which holds the first ``start`` tokens of it already."""

    slot: int
    context: tuple[int, ...]
    start: int

    @property
    def missing(self) -> int:
        """Tokens that are to be prefilled."""
        return len(self.context) - self.start


class Batch:
    """The live rows, which hold the first slots in their order; behind them lie sequences that have ended, the kept.

    Args:
        model: a causal language model in evaluation mode.
        kept_mb: memory for keys and values of sequences that have ended: a prompt that begins like one of them, or like a live
            row's, takes them over (the next turn of a trajectory, another sample of a question). 0 keeps none.

    ``reused`` counts the tokens that did not have to be prefilled.
    """

    def __init__(self, model: PreTrainedModel, kept_mb: int = 0) -> None:
        self.model = model
        self.rows: list[Row] = []
        self._columns: dict[str, Tensor] = {}
        self._slots = Slots(model.config.get_text_config().num_hidden_layers, context_length(model))
        self._masks = Masks(model)
        self.reused = 0
        self._kept_bytes = kept_mb * 2**20
        self._index = PrefixIndex()

    def __len__(self) -> int:
        return len(self.rows)

    @torch.inference_mode()
    def admit(self, arrivals: list[Row]) -> list[Row]:
        """Prefill ``arrivals`` as far as no slot begins like them, draw their first token, and let them join the live rows.

        Sequences with the same context share one prefill.

        Returns:
            Those that ended with that token.
        """
        if not arrivals:
            return []
        of: dict[tuple[int, ...], list[Row]] = {}
        for row in arrivals:
            of.setdefault((*row.prompt, *row.tokens), []).append(row)
        self._slots.reserve(0, max(map(len, of)))
        before = len(self.rows)
        logits = self._prefill([self._place(context, rows[0]) for context, rows in of.items()])
        order = list(range(len(of)))
        for number, (context, rows) in enumerate(of.items()):
            for row in rows[1:]:
                self._claim(row)
                self._slots.copy(before + number, len(self.rows) - 1, len(context))
                order.append(number)
        contexts = list(of)
        for slot, number in enumerate(order, before):
            self._index.put(slot, contexts[number])
        self._join(_columns_of(self.rows[before:]))
        self._draw(torch.arange(before, len(self.rows)), logits[torch.tensor(order)])
        return self._drop_finished()

    @torch.inference_mode()
    def step(self) -> list[Row]:
        """Advance every live row by one token.

        Returns:
            The rows that ended.
        """
        length = self._columns["length"]
        longest = int(length.max()) + 1
        self._slots.reserve(0, longest)
        at = torch.arange(len(self.rows))
        logits = self._forward(
            self._columns["last"][:, None], length[:, None], Window(at, length[:, None], longest, True)
        )
        self._columns["length"] = length + 1
        self._draw(at, logits)
        return self._drop_finished()

    def drop_aborted(self) -> list[Row]:
        """Take out the rows whose caller has gone."""
        keep = [index for index, row in enumerate(self.rows) if not row.aborted]
        return self._keep(keep) if len(keep) < len(self.rows) else []

    def evict(self) -> list[Row]:
        """Take out every row, with what it has so far, to be admitted again (the weights are about to change)."""
        left = self._keep([])
        self._index.cut(0)
        return left

    def _place(self, context: tuple[int, ...], row: Row) -> _Placed:
        """Give a row its slot, with as much of its context as another holds. Until it is prefilled it begins like nothing."""
        best, common = self._index.longest(context)
        common = min(common, len(context) - 1)  # its last token is asked what follows
        if common < _WORTH:
            self._claim(row)
            return _Placed(len(self.rows) - 1, context, 0)
        slot = len(self.rows)
        self.reused += common
        if best >= slot and common == self._index.length(best):  # a kept one goes on
            self._swap(best, slot)
            self._index.put(slot, ())
            self.rows.append(row)
        elif (source := self._claim(row, spare=best)) != slot:
            self._slots.copy(source, slot, common)
        return _Placed(slot, context, common)

    def _claim(self, row: Row, spare: int = -1) -> int:
        """The slot behind the last live row becomes this row's; what is kept there moves or goes.

        Args:
            spare: a slot that is still to be read.

        Returns:
            Where that lies now.
        """
        slot, used = len(self.rows), len(self._index)
        self._slots.reserve(slot + 1, 0)
        if used > slot:  # the kept one in its place
            if self._slots.bytes_of(used - slot) <= self._kept_bytes:
                target = used
                self._slots.reserve(used + 1, 0)
                self._index.put(target, ())
            else:
                target = self._index.oldest(slot, but=spare)
            if target != slot:
                self._slots.copy(slot, target, self._index.length(slot))
                self._index.move(slot, target)
                spare = target if spare == slot else spare
        self._index.put(slot, ())
        self.rows.append(row)
        return spare

    def _swap(self, one: int, other: int) -> None:
        if one != other:
            self._slots.swap(one, other, max(self._index.length(one), self._index.length(other)))
            self._index.swap(one, other)

    def _prefill(self, placed: list[_Placed]) -> Tensor:
        """Logits after each context, in their order. Of similar length together: what is padded is computed in vain."""
        found: dict[int, Tensor] = {}
        group: list[_Placed] = []
        for each in sorted(placed, key=lambda each: each.missing):
            if group and each.missing > 2 * group[0].missing + _PADDED:
                found.update(self._prefill_together(group))
                group = []
            group.append(each)
        found.update(self._prefill_together(group))
        return torch.stack([found[each.slot] for each in placed])

    def _prefill_together(self, group: list[_Placed]) -> Iterable[tuple[int, Tensor]]:
        """Slots and the logits after what they hold then."""
        ids, mask = _left_pad([each.context[each.start :] for each in group])
        starts = torch.tensor([each.start for each in group])[:, None]
        position = (starts + mask.cumsum(-1) - 1).clamp_(min=0)
        columns = torch.where(mask.bool(), position, torch.tensor(self._slots.columns))
        slots = [each.slot for each in group]
        window = Window(torch.tensor(slots), columns, max(len(each.context) for each in group))
        return zip(slots, self._forward(ids, position, window), strict=True)

    def _forward(self, ids: Tensor, position: Tensor, window: Window) -> Tensor:
        device = self.model.device
        window.slots, window.columns = window.slots.to(device), window.columns.to(device)
        position = position.to(device)
        self._slots.window = window
        output = self.model(
            input_ids=ids.to(device),
            attention_mask=self._masks.of(position, window.length),
            position_ids=position,
            past_key_values=self._slots,
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
        """Keep these rows; write what the others generated into them and return them.

        The last of the kept rows fill the places of those that go, which then lie behind them.
        """
        kept = set(indices)
        gone = [index for index in range(len(self.rows)) if index not in kept]
        if not gone:
            return []
        left, counts = [self.rows[index] for index in gone], self._columns["count"].tolist()
        for index in gone:
            row, count = self.rows[index], counts[index]
            row.tokens = self._columns["tokens"][index, :count].tolist()
            row.logprobs = self._columns["logprobs"][index, :count].tolist()
            self._index.put(index, (*row.prompt, *row.tokens[:-1]) if self._kept_bytes else ())
        order = list(range(len(self.rows)))
        movers = [index for index in indices if index >= len(indices)]
        for hole, mover in zip((index for index in gone if index < len(indices)), movers, strict=True):
            order[hole] = mover
            self._move_live(mover, hole)
        self.rows = [self.rows[index] for index in order[: len(indices)]]
        self._forget()
        chosen = torch.tensor(order[: len(indices)], dtype=torch.long)
        self._columns = {name: column[chosen] for name, column in self._columns.items()} if self.rows else {}
        return left

    def _forget(self) -> None:
        """Let the oldest of the kept go until the others fit their memory, and what the live ones took where none is left."""
        while (kept := len(self._index) - len(self.rows)) and self._slots.bytes_of(kept) > self._kept_bytes:
            oldest, last = self._index.oldest(len(self.rows), but=-1), len(self._index) - 1
            if oldest != last:
                self._slots.copy(last, oldest, self._index.length(last))
                self._index.move(last, oldest)
            self._index.cut(last)
        if not self.rows and self._slots.bytes_of(self._slots.count) > 2 * self._kept_bytes:
            self._slots.shrink(len(self._index))

    def _move_live(self, mover: int, hole: int) -> None:
        """A live row takes the slot of one that has ended, which takes its slot where it is kept."""
        length = int(self._columns["length"][mover])
        if self._kept_bytes:
            self._slots.swap(mover, hole, max(length, self._index.length(hole)))
        else:
            self._slots.copy(mover, hole, length)
        self._index.swap(mover, hole)

    def _join(self, columns: dict[str, Tensor]) -> None:
        old = self._columns
        self._columns = {name: _JOIN[name](old[name], column) for name, column in columns.items()} if old else columns


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
        "length": torch.tensor([len(row.prompt) + len(row.tokens) for row in arrivals]),
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


def _plain(old: Tensor, new: Tensor) -> Tensor:
    return torch.cat([old, new])


def _wide(old: Tensor, new: Tensor, value: float = 0) -> Tensor:
    """Concatenate along the rows after padding the narrower one on the right."""
    width = max(old.shape[1], new.shape[1])
    return torch.cat([pad(tensor, (0, width - tensor.shape[1]), value=value) for tensor in (old, new)])


_JOIN: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "stop_ids": lambda old, new: _wide(old, new, NO_TOKEN),
    "uniforms": _wide,
    "tokens": _wide,
    "logprobs": _wide,
    **dict.fromkeys(("temperature", "top_p", "top_k", "limit", "count", "last", "length", "streamed"), _plain),
}
