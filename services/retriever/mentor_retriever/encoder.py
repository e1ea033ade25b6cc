"""Text to unit vectors. One interface; sentence-transformers behind it, from a local folder only."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mentor.errors import UserError
from mentor_retriever.settings import RetrieverSettings

Vectors = NDArray[np.float32]
"""Shape [texts, dimension], rows of length 1."""


class Encoder(Protocol):
    """Encodes queries and passages into one space."""

    @property
    def name(self) -> str:
        """What makes its vectors comparable: model, prefixes, lengths, pooling."""
        ...

    @property
    def dimension(self) -> int:
        """Length of its vectors."""
        ...

    def encode_queries(self, texts: list[str]) -> Vectors:
        """Vectors of queries."""
        ...

    def encode_passages(self, texts: list[str]) -> Vectors:
        """Vectors of passages."""
        ...


class SentenceEncoder:
    """A sentence-transformers model with its family's prefixes."""

    def __init__(self, model: Any, settings: RetrieverSettings) -> None:
        self._model = model
        self._settings = settings
        self._query_prefix, self._passage_prefix = settings.prefixes

    @property
    def name(self) -> str:
        """See ``Encoder.name``."""
        path, s = self._settings.retrieval_model_path, self._settings
        assert path is not None
        parts = (path.name, self._query_prefix, self._passage_prefix, s.passage_max_length, s.pooling or "own")
        return "|".join(str(part) for part in parts)

    @property
    def dimension(self) -> int:
        """See ``Encoder.dimension``."""
        return int(self._model.get_embedding_dimension())

    def encode_queries(self, texts: list[str]) -> Vectors:
        """See ``Encoder.encode_queries``."""
        return self._encode([self._query_prefix + text for text in texts], self._settings.query_max_length)

    def encode_passages(self, texts: list[str]) -> Vectors:
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


def open_encoder(settings: RetrieverSettings) -> Encoder:
    """The encoder in ``retrieval_model_path``; nothing is downloaded.

    Raises:
        UserError: the folder is missing or holds no model.
    """
    path = settings.retrieval_model_path
    assert path is not None
    if not (path / "config.json").is_file() and not (path / "modules.json").is_file():
        raise UserError(f"{path} holds no model (no config.json)", field="retrieval_model_path")
    import torch
    from sentence_transformers import SentenceTransformer

    torch.set_num_threads(settings.threads)
    try:
        modules = _modules(path, settings)
        model = SentenceTransformer(str(path) if modules is None else None, modules=modules, local_files_only=True)
    except (OSError, ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0][:200]
        raise UserError(f"cannot load the encoder in {path}: {reason}", field="retrieval_model_path") from None
    if settings.fp16:
        model.half()
    return SentenceEncoder(model.eval(), settings)


def _modules(path: Path, settings: RetrieverSettings) -> list[Any] | None:
    """Explicit pooling where the settings name one; None leaves it to the folder's own description."""
    if settings.pooling is None:
        return None
    from sentence_transformers.sentence_transformer import modules

    transformer = modules.Transformer(str(path))
    return [transformer, modules.Pooling(transformer.get_embedding_dimension(), pooling_mode=settings.pooling)]
