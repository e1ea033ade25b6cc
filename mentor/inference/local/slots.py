"""Keys and values of many sequences, each in a slot of its own that it is written into in place.

A cache that grows by concatenation copies every sequence for every token, and once more whenever one joins or leaves. Here a
step writes one column of each slot and reads a view; a sequence that joins is written beside the others, and one that has ended
stays until its slot is needed, for a prompt that begins as it did.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import Cache
from transformers.cache_utils import CacheLayerMixin

_MORE_SLOTS, _MORE_COLUMNS = 16, 128
"""Room is made for so many at a time: whatever is stored moves then."""


@dataclass
class Window:
    """What the next forward writes and reads: ``slots`` [n], their ``columns`` [n, query], all columns before ``length``.

    ``first``: the slots are the first n, which are read without a copy.
    """

    slots: Tensor
    columns: Tensor
    length: int
    first: bool = False

    def read(self, stored: Tensor) -> Tensor:
        """[n, heads, length, head size]."""
        seen = stored[:, :, : self.length]
        return seen[: len(self.slots)] if self.first else seen[self.slots]


class _Layer(CacheLayerMixin):
    """One layer's: [slots, heads, columns + 1, head size]. The last column takes what padding writes."""

    is_sliding = False

    def __init__(self, slots: Slots) -> None:
        super().__init__()
        self._of = slots

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        self.dtype, self.device = key_states.dtype, key_states.device
        self.keys, self.values = self._room(key_states), self._room(value_states)
        self.is_initialized = True

    def _room(self, like: Tensor) -> Tensor:
        return like.new_zeros(self._of.count, like.shape[1], self._of.columns + 1, like.shape[3])

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        window = self._of.window
        found = []
        for stored, new in ((self.keys, key_states), (self.values, value_states)):
            assert stored is not None
            stored[window.slots[:, None], :, window.columns] = new.transpose(1, 2)
            found.append(window.read(stored))
        return found[0], found[1]

    def resize(self) -> None:
        """Room for as many slots and columns as there are to be; what is stored stays."""
        if not self.is_initialized:
            return
        assert self.keys is not None and self.values is not None
        for name, old in (("keys", self.keys), ("values", self.values)):
            room = self._room(old)
            rows, columns = min(len(old), len(room)), old.shape[2] - 1
            room[:rows, :, :columns] = old[:rows, :, :columns]
            setattr(self, name, room)

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return self._of.window.length, 0

    def get_seq_length(self) -> int:
        return self._of.window.length - self._of.window.columns.shape[1]

    def get_max_cache_shape(self) -> int:
        return -1


class Slots(Cache):
    """A cache of transformers' whose ``window`` is set before each forward.

    Args:
        layers: of the model.
        most_columns: of a sequence; its context length.
    """

    def __init__(self, layers: int, most_columns: int) -> None:
        self.count = self.columns = 0
        self.window = Window(torch.zeros(0, dtype=torch.long), torch.zeros(0, 0, dtype=torch.long), 0)
        self._most = most_columns
        super().__init__(layers=[_Layer(self) for _ in range(layers)])

    def reserve(self, count: int, columns: int) -> None:
        """At least so many slots of at least so many columns."""
        if count <= self.count and columns <= self.columns:
            return
        self.count = max(self.count, _round_up(count, _MORE_SLOTS))
        self.columns = max(self.columns, min(self._most, _round_up(columns, _MORE_COLUMNS)))
        for layer in self.layers:
            layer.resize()

    def shrink(self, count: int) -> None:
        """Give back the memory of all slots but the first so many."""
        if _round_up(count, _MORE_SLOTS) < self.count:
            self.count = _round_up(count, _MORE_SLOTS)
            for layer in self.layers:
                layer.resize()

    def bytes_of(self, count: int) -> int:
        """What so many slots take."""
        stored = [tensor for layer in self.layers for tensor in (layer.keys, layer.values) if tensor is not None]
        return sum(tensor[:1].numel() * tensor.element_size() for tensor in stored) * count

    def copy(self, source: int, target: int, length: int) -> None:
        """The first ``length`` columns of a slot over those of another."""
        for stored in self._stored():
            stored[target, :, :length] = stored[source, :, :length]

    def swap(self, one: int, other: int, length: int) -> None:
        """Two slots change places, as far as column ``length``."""
        for stored in self._stored():
            kept = stored[one, :, :length].clone()
            stored[one, :, :length] = stored[other, :, :length]
            stored[other, :, :length] = kept

    def _stored(self) -> list[Tensor]:
        return [tensor for layer in self.layers if layer.is_initialized for tensor in (layer.keys, layer.values)]


def _round_up(number: int, step: int) -> int:
    return -(-number // step) * step
