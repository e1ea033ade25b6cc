"""What a run was asked for, and the numbering of its queries."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from benchmarks.retriever import corpus
from benchmarks.retriever.corpus import Corpus

_STRIDE = 1_000_000
"""Queries that one measurement cannot exceed."""


@dataclass(frozen=True)
class Plan:
    """Rounds, seconds of a measurement, sizes and settings.

    ``settings`` (``NAME=VALUE``) hold for every server of ours, ``fast`` are added for the faster encoder, ``memory``
    for an index in memory.
    """

    work: Path
    rounds: int
    seconds: float
    passages: int | None
    concurrency: tuple[int, ...]
    settings: tuple[str, ...]
    fast: tuple[str, ...]
    memory: tuple[str, ...]
    _numbers: count[int] = field(default_factory=count)

    def corpus(self, size: int) -> Corpus:
        """The corpus of that size, or of the size that was asked for."""
        return corpus.make(self.work, self.passages or size)

    def first_query(self) -> int:
        """The number of the next measurement's first query: no two measurements share a query."""
        return next(self._numbers) * _STRIDE
