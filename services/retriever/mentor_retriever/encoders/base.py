"""What an encoder is. One interface, whatever runs the model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]
"""Shape [texts, dimension]; rows of length 1 where the family normalises (DPR and Contriever do not)."""


class Encoder(Protocol):
    """Encodes queries and passages into one space. Safe to use from several threads."""

    @property
    def name(self) -> str:
        """What makes its vectors comparable: model, prefixes, lengths, pooling."""
        ...

    @property
    def dimension(self) -> int:
        """Length of its vectors."""
        ...

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        """Vectors of queries. Blocks."""
        ...

    def encode_passages(self, texts: Sequence[str]) -> Vectors:
        """Vectors of passages. Blocks."""
        ...
