"""Transformer encoders: one class, with PyTorch or ONNX Runtime running the model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mentor_retriever.encoders.base import Vectors
from mentor_retriever.encoders.families import Pooling
from mentor_retriever.encoders.pooling import pool, unit
from mentor_retriever.encoders.texts import TextTokenizer, Tokens, by_length


class Network(Protocol):
    """A model without its pooling. Safe to use from several threads."""

    @property
    def dimension(self) -> int:
        """Of its states."""
        ...

    def __call__(self, ids: Tokens, mask: Tokens) -> NDArray[np.float32]:
        """States of the last layer, shape [texts, tokens, dimension]."""
        ...


@dataclass(frozen=True)
class Manner:
    """How texts become vectors: what stands before them, how many tokens are read, how states are pooled."""

    query_prefix: str
    passage_prefix: str
    query_max_length: int
    passage_max_length: int
    pooling: Pooling
    normalize: bool
    batch: int

    def named(self, model: str) -> str:
        """See ``Encoder.name``. Lengths of queries and the batch do not change what is in an index."""
        parts = (model, self.query_prefix, self.passage_prefix, self.passage_max_length, self.pooling, self.normalize)
        return "|".join(str(part) for part in parts)


class TransformerEncoder:
    """See ``Encoder``."""

    def __init__(self, folder: Path, network: Network, manner: Manner) -> None:
        self._network = network
        self._manner = manner
        self._queries = TextTokenizer(folder, manner.query_max_length)
        self._passages = TextTokenizer(folder, manner.passage_max_length)
        self.name = manner.named(folder.name)

    @property
    def dimension(self) -> int:
        """See ``Encoder.dimension``."""
        return self._network.dimension

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        """See ``Encoder.encode_queries``."""
        return self._encode(self._queries([self._manner.query_prefix + text for text in texts]))

    def encode_passages(self, texts: Sequence[str]) -> Vectors:
        """See ``Encoder.encode_passages``."""
        return self._encode(self._passages([self._manner.passage_prefix + text for text in texts]))

    def _encode(self, ids: list[list[int]]) -> Vectors:
        return by_length(ids, self._manner.batch, self._vectors)

    def _vectors(self, ids: Tokens, mask: Tokens) -> Vectors:
        vectors = pool(self._network(ids, mask), mask, self._manner.pooling)
        return unit(vectors) if self._manner.normalize else vectors
