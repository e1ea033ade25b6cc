"""Which slot's tokens begin like a prompt."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

_EMPTY = -1
_WIDTH = 256


class PrefixIndex:
    """The tokens of each used slot: those whose keys and values it holds. A slot of none is used, and begins like nothing."""

    def __init__(self) -> None:
        self._tokens = np.full((0, _WIDTH), _EMPTY, dtype=np.int64)
        self._lengths: list[int] = []
        self._stamps: list[int] = []
        self._clock = 0

    def __len__(self) -> int:
        return len(self._lengths)

    def length(self, slot: int) -> int:
        """How many tokens it holds."""
        return self._lengths[slot]

    def put(self, slot: int, tokens: Sequence[int]) -> None:
        """A slot, one of the used or the next, holds these now."""
        if slot == len(self._lengths):
            self._lengths.append(0)
            self._stamps.append(0)
        self._reserve(slot + 1, len(tokens))
        self._tokens[slot] = _EMPTY
        self._tokens[slot, : len(tokens)] = tokens
        self._lengths[slot] = len(tokens)
        self._clock += 1
        self._stamps[slot] = self._clock

    def longest(self, context: Sequence[int]) -> tuple[int, int]:
        """The slot with most tokens in common with a context from its beginning, and how many; -1 and 0 where none has any."""
        width = min(len(context), self._tokens.shape[1])
        if not self._lengths or not width:
            return -1, 0
        equal = self._tokens[: len(self._lengths), :width] == np.asarray(context[:width])
        common = np.where(equal.all(axis=1), width, equal.argmin(axis=1))
        best = int(common.argmax())
        return (best, int(common[best])) if common[best] else (-1, 0)

    def oldest(self, first: int, but: int) -> int:
        """Of the slots from ``first`` on, the one that was filled first; ``but`` only if there is no other."""
        return min(range(first, len(self._lengths)), key=lambda slot: (slot == but, self._stamps[slot]))

    def move(self, source: int, target: int) -> None:
        """What one holds is the other's now."""
        self._tokens[target] = self._tokens[source]
        self._lengths[target], self._stamps[target] = self._lengths[source], self._stamps[source]

    def swap(self, one: int, other: int) -> None:
        """Two slots change places."""
        self._tokens[[one, other]] = self._tokens[[other, one]]
        for values in (self._lengths, self._stamps):
            values[one], values[other] = values[other], values[one]

    def cut(self, used: int) -> None:
        """Only the first so many are used."""
        del self._lengths[used:], self._stamps[used:]

    def _reserve(self, slots: int, width: int) -> None:
        have, wide = self._tokens.shape
        if slots <= have and width <= wide:
            return
        room = np.full((max(slots, 2 * have), max(-(-width // _WIDTH) * _WIDTH, wide)), _EMPTY, dtype=np.int64)
        room[:have, :wide] = self._tokens
        self._tokens = room
