"""The index that the settings ask for."""

from __future__ import annotations

from mentor_retriever.corpus import Corpus
from mentor_retriever.index.base import Index
from mentor_retriever.settings import RetrieverSettings


def open_index(settings: RetrieverSettings, corpus: Corpus) -> Index:
    """Load or build; blocks. What a method needs is imported only if it is chosen.

    Raises:
        UserError: a setting, the encoder or the index cannot be used.
    """
    if not settings.dense:
        from mentor_retriever.index.bm25 import open_bm25

        return open_bm25(corpus, settings.index_path)
    from mentor_retriever.encoder import open_encoder
    from mentor_retriever.index.dense import open_dense

    return open_dense(
        corpus,
        open_encoder(settings),
        method=settings.retrieval_method,
        path=settings.index_path,
        gpu=settings.faiss_gpu,
        batch=16 * settings.encode_batch_size,
        threads=settings.threads,
    )
