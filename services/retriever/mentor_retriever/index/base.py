"""What an index is, whatever is inside."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from mentor_retriever.encoders.base import Vectors

Ranking = list[tuple[int, float]]
"""Row of the corpus and score, best first."""


class VectorIndex(Protocol):
    """Finds the rows of the stored vectors that are nearest. Safe to use from several threads."""

    @property
    def dimension(self) -> int:
        """Of its vectors."""
        ...

    @property
    def documents(self) -> int:
        """How many it holds."""
        ...

    @property
    def parallel(self) -> int:
        """Searches that may run side by side; 1 if a search uses all threads by itself."""
        ...

    def search(self, vectors: Vectors, top_n: int) -> list[Ranking]:
        """The best rows for each query by inner product, at most ``top_n``. Blocks."""
        ...


class TextIndex(Protocol):
    """Finds rows by their words. Safe to use from several threads."""

    def search(self, queries: Sequence[str], top_n: int) -> list[Ranking]:
        """The best rows for each query, at most ``top_n``. Blocks."""
        ...
