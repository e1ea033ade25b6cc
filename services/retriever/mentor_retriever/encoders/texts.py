"""Tokens of texts, cut and padded, in batches of like lengths."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from mentor.errors import UserError
from mentor_retriever.encoders.base import Vectors

Tokens = NDArray[np.int64]
"""Shape [texts, tokens]."""


class TextTokenizer:
    """A model's own tokenizer (``tokenizer.json``), special tokens added. Safe to use from several threads."""

    def __init__(self, folder: Path, max_length: int) -> None:
        path = folder / "tokenizer.json"
        if not path.is_file():
            raise UserError(f"{folder} has no tokenizer.json", field="retrieval_model_path")
        self._tokenizer = Tokenizer.from_file(str(path))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(max_length)

    def __call__(self, texts: Sequence[str]) -> list[list[int]]:
        """Ids of each text."""
        return [encoding.ids for encoding in self._tokenizer.encode_batch(list(texts))]

    def pairs(self, pairs: Sequence[tuple[str, str]]) -> tuple[list[list[int]], list[list[int]]]:
        """Ids of each pair of texts, and which of the two each token is of (0, 1)."""
        found = self._tokenizer.encode_batch(list(pairs))
        return [encoding.ids for encoding in found], [encoding.type_ids for encoding in found]


def padded(ids: Sequence[Sequence[int]]) -> tuple[Tokens, Tokens]:
    """(ids, mask), both of the longest text's length; what is masked is 0."""
    length = max(len(row) for row in ids)
    tokens = np.zeros((len(ids), length), dtype=np.int64)
    mask = np.zeros_like(tokens)
    for number, row in enumerate(ids):
        tokens[number, : len(row)] = row
        mask[number, : len(row)] = 1
    return tokens, mask


def by_length(ids: Sequence[Sequence[int]], batch: int, run: Callable[[Tokens, Tokens], Vectors]) -> Vectors:
    """Run a model over texts sorted by length, so that little is padded; rows come back in the given order."""
    order = sorted(range(len(ids)), key=lambda number: len(ids[number]))
    parts = [run(*padded([ids[n] for n in order[start : start + batch]])) for start in range(0, len(order), batch)]
    found = np.concatenate(parts)
    vectors = np.empty_like(found)
    vectors[order] = found
    return np.ascontiguousarray(vectors, dtype=np.float32)
