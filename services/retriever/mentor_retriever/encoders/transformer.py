"""Transformer encoders: one class, with PyTorch or ONNX Runtime running the model."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
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


@dataclass(frozen=True)
class Side:
    """A model that is opened when it is needed; ``network`` gives the same one every time."""

    folder: Path
    network: Callable[[], Network]


class TransformerEncoder:
    """See ``Encoder``.

    Args:
        folder, network: the model of queries.
        passages: opens the model of passages, where that is another one (DPR); it is not loaded to answer queries.
    """

    def __init__(self, folder: Path, network: Network, manner: Manner, passages: Side | None = None) -> None:
        self._manner = manner
        self._network = network
        self._queries = TextTokenizer(folder, manner.query_max_length)
        self._other = passages
        self._lock = threading.Lock()
        own = passages.folder if passages else folder
        self._passages = TextTokenizer(own, manner.passage_max_length)
        self.name = manner.named(own.name)

    @property
    def dimension(self) -> int:
        """See ``Encoder.dimension``."""
        return self._network.dimension

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        """See ``Encoder.encode_queries``."""
        ids = self._queries([self._manner.query_prefix + text for text in texts])
        return self._encode(ids, self._network)

    def encode_passages(self, texts: Sequence[str]) -> Vectors:
        """See ``Encoder.encode_passages``."""
        ids = self._passages([self._manner.passage_prefix + text for text in texts])
        return self._encode(ids, self._network if self._other is None else self._opened(self._other))

    def _opened(self, side: Side) -> Network:
        with self._lock:
            return side.network()

    def _encode(self, ids: list[list[int]], network: Network) -> Vectors:
        return by_length(ids, self._manner.batch, lambda tokens, mask: self._vectors(network, tokens, mask))

    def _vectors(self, network: Network, ids: Tokens, mask: Tokens) -> Vectors:
        vectors = pool(network(ids, mask), mask, self._manner.pooling)
        return unit(vectors) if self._manner.normalize else vectors
