"""Models with parts of their own (dense layers, static embeddings): sentence-transformers runs them as they are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from mentor_retriever.encoders.base import Vectors
from mentor_retriever.settings import RetrieverSettings


class SentenceEncoder:
    """See ``Encoder``. Slower per query than the direct path, and needs the package sentence-transformers."""

    def __init__(self, folder: Path, settings: RetrieverSettings, device: str, threads: int) -> None:
        from sentence_transformers import SentenceTransformer

        torch.set_num_threads(threads)
        model = SentenceTransformer(str(folder), local_files_only=True, device=device)
        self._model = (model.half() if settings.fp16 else model).eval()
        self._settings = settings
        self._query_prefix, self._passage_prefix = settings.prefixes
        parts = (folder.name, self._query_prefix, self._passage_prefix, settings.passage_max_length, "own")
        self.name = "|".join(str(part) for part in parts)

    @property
    def dimension(self) -> int:
        """See ``Encoder.dimension``."""
        return int(self._model.get_embedding_dimension() or 0)

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        """See ``Encoder.encode_queries``."""
        return self._encode([self._query_prefix + text for text in texts], self._settings.query_max_length)

    def encode_passages(self, texts: Sequence[str]) -> Vectors:
        """See ``Encoder.encode_passages``."""
        return self._encode([self._passage_prefix + text for text in texts], self._settings.passage_max_length)

    def _encode(self, texts: list[str], max_length: int) -> Vectors:
        vectors = self._model.encode(
            texts,
            batch_size=self._settings.encode_batch_size,
            normalize_embeddings=True,
            convert_to_numpy=True,
            show_progress_bar=False,
            processing_kwargs={"text": {"max_length": max_length, "truncation": True}},
        )
        return np.ascontiguousarray(vectors, dtype=np.float32)
