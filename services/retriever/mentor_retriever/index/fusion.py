"""Reciprocal rank fusion (Cormack, Clarke, Buettcher 2009): score(d) = sum over rankings of 1 / (60 + rank of d)."""

from __future__ import annotations

from collections.abc import Sequence

from mentor_retriever.index.base import Ranking

_K = 60


def fuse(found: Sequence[Ranking], top_n: int) -> Ranking:
    """The best rows over several rankings; of equal scores the lower row first."""
    scores: dict[int, float] = {}
    for ranking in found:
        for rank, (row, _) in enumerate(ranking, start=1):
            scores[row] = scores.get(row, 0.0) + 1.0 / (_K + rank)
    return sorted(scores.items(), key=lambda pair: (-pair[1], pair[0]))[:top_n]
