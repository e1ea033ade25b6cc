"""What an index is, whatever is inside."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

Ranking = list[tuple[int, float]]
"""Row of the corpus and score, best first."""


class Index(Protocol):
    """Finds rows of one corpus. Safe to use from several threads."""

    def search(self, queries: Sequence[str], top_n: int) -> list[Ranking]:
        """The best rows for each query, at most ``top_n`` of them. Blocks."""
        ...
