"""An encoder without a model: seeded vectors that are a function of the text, for proofs about everything but meaning.

A service takes it by ``encoder_factory: tests.support.synthetic_encoder:make``.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np

from mentor_retriever.encoders.base import Vectors

DIMENSION = 384
_ROWS = 4096


class SyntheticEncoder:
    """Unit vectors, (texts, 384): equal texts, equal vectors; ``query: X`` is encoded as ``X``."""

    name = f"synthetic|{DIMENSION}"
    dimension = DIMENSION

    def __init__(self) -> None:
        random = np.random.default_rng(0)
        self._high = random.standard_normal((_ROWS, DIMENSION), dtype=np.float32)
        self._low = random.standard_normal((_ROWS, DIMENSION), dtype=np.float32)

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        """See ``Encoder.encode_queries``."""
        return self.encode_passages(texts)

    def encode_passages(self, texts: Sequence[str]) -> Vectors:
        """See ``Encoder.encode_passages``."""
        codes = np.array([zlib.crc32(text.encode()) for text in texts], dtype=np.int64)
        vectors = self._high[codes % _ROWS] + self._low[codes // _ROWS % _ROWS]
        unit: Vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        return unit


def make() -> SyntheticEncoder:
    """The factory."""
    return SyntheticEncoder()
