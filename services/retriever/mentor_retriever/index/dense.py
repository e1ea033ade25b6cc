"""Dense vectors in a flat FAISS index: exact inner products."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import faiss
import structlog

from mentor.errors import UserError
from mentor_retriever.corpus import Corpus
from mentor_retriever.encoder import Encoder
from mentor_retriever.index.base import Ranking
from mentor_retriever.index.manifest import Manifest

log = structlog.get_logger("index")


class DenseIndex:
    """Rows by inner product of unit vectors, that is, by cosine."""

    def __init__(self, index: Any, encoder: Encoder, threads: int) -> None:
        self._index = index
        self._encoder = encoder
        self._threads = threads

    def search(self, queries: Sequence[str], top_n: int) -> list[Ranking]:
        """See ``Index.search``."""
        vectors = self._encoder.encode_queries(list(queries))
        faiss.omp_set_num_threads(self._threads)  # OpenMP keeps this per calling thread
        scores, rows = self._index.search(vectors, min(top_n, self._index.ntotal))
        found = zip(rows.tolist(), scores.tolist(), strict=True)
        return [[(row, score) for row, score in zip(*pair, strict=True) if row >= 0] for pair in found]


def open_dense(
    corpus: Corpus, encoder: Encoder, *, method: str, path: Path | None, gpu: bool, batch: int, threads: int
) -> DenseIndex:
    """Load the index at ``path`` (one of FlashRAG's opens as it is), or build it (and keep it there).

    Raises:
        UserError: ``path`` is no FAISS index, one of another corpus or dimension, or cannot be written.
    """
    manifest = Manifest(method, corpus.fingerprint, len(corpus), encoder.name)
    if path is not None and path.exists():
        manifest.check(path)
        index = _load(path, corpus, encoder)
    else:
        index = _build(corpus, encoder, batch)
        if path is not None:
            _save(index, path)
            manifest.write(path)
    return DenseIndex(_on_gpus(index) if gpu else index, encoder, threads)


def _build(corpus: Corpus, encoder: Encoder, batch: int) -> Any:
    index = faiss.IndexFlatIP(encoder.dimension)
    texts = corpus.contents()
    while chunk := [text for text, _ in zip(texts, range(batch), strict=False)]:
        index.add(encoder.encode_passages(chunk))
    log.info("index built", documents=index.ntotal, dimension=index.d)
    return index


def _load(path: Path, corpus: Corpus, encoder: Encoder) -> Any:
    try:
        index = faiss.read_index(str(path))
    except RuntimeError as error:
        reason = str(error).splitlines()[0][:200]
        raise UserError(f"{path} is not a FAISS index: {reason}", field="index_path") from None
    if index.ntotal != len(corpus):
        message = f"{path} holds {index.ntotal} vectors, the corpus {len(corpus)} documents"
        raise UserError(message, field="index_path")
    if index.d != encoder.dimension:
        message = f"{path} has dimension {index.d}, the encoder {encoder.dimension}"
        raise UserError(message, field="index_path")
    return index


def _save(index: Any, path: Path) -> None:
    fresh = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        faiss.write_index(index, str(fresh))
        fresh.replace(path)
    except (OSError, RuntimeError) as error:
        fresh.unlink(missing_ok=True)
        raise UserError(f"cannot write {path}: {str(error).splitlines()[0]}", field="index_path") from None


def _on_gpus(index: Any) -> Any:
    if not hasattr(faiss, "get_num_gpus") or faiss.get_num_gpus() == 0:
        raise UserError("faiss_gpu: FAISS sees no GPU here", field="faiss_gpu", allowed="false")
    return faiss.index_cpu_to_all_gpus(index)
