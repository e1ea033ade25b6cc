"""The index that the settings ask for: opened, or made at start where the corpus is small."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import structlog

from mentor.errors import UserError
from mentor_retriever.corpus import Corpus
from mentor_retriever.encoders import Encoder, Vectors
from mentor_retriever.index.base import TextIndex, VectorIndex
from mentor_retriever.index.kinds import kind_named
from mentor_retriever.index.manifest import BM25, INDEX, NAME, VECTORS, Manifest, read_manifest
from mentor_retriever.settings import RetrieverSettings

log = structlog.get_logger("index")
_SAME = 0.9
"""Cosine below which a stored vector is not the passage's: other lengths or precision leave it far above."""


@dataclass(frozen=True)
class Opened:
    """What searches: by vectors, by words, or both."""

    vectors: VectorIndex | None = None
    words: TextIndex | None = None


def open_index(settings: RetrieverSettings, corpus: Corpus, encoder: Encoder | None) -> Opened:
    """Open or make what the settings ask for; blocks.

    Raises:
        UserError: an index cannot be used, or would have to be built for a corpus that is too large for a start.
    """
    if not settings.dense:
        return Opened(words=_words(settings, corpus, settings.index_path))
    assert encoder is not None
    words = _words(settings, corpus, settings.bm25_index_path) if settings.hybrid else None
    return Opened(vectors=_dense(settings, corpus, encoder), words=words)


def _words(settings: RetrieverSettings, corpus: Corpus, path: Path | None) -> TextIndex:
    from mentor_retriever.index.bm25 import Bm25Index, build_bm25, load_bm25

    if path is None:
        _small_enough(settings, corpus, "bm25")
        return Bm25Index(build_bm25(corpus.contents()), len(corpus))
    if not path.exists():
        _small_enough(settings, corpus, "bm25")
        _build(settings, corpus, None, path, "bm25")
    _checked(path, corpus, method="bm25", encoder="")
    return load_bm25(path / BM25, len(corpus), mapped=settings.index_memory == "mmap")


def _dense(settings: RetrieverSettings, corpus: Corpus, encoder: Encoder) -> VectorIndex:
    path = settings.index_path
    if path is None:
        _small_enough(settings, corpus, settings.retrieval_method)
        return _searchable(settings, _in_memory(settings, corpus, _for_building(settings, encoder)), None, None)
    if not path.exists():
        _small_enough(settings, corpus, settings.retrieval_method)
        _build(settings, corpus, _for_building(settings, encoder), path, settings.index_kind)
    return _opened(settings, corpus, encoder, path)


def _opened(settings: RetrieverSettings, corpus: Corpus, encoder: Encoder, path: Path) -> VectorIndex:
    from mentor_retriever.index.faiss_file import flat_view, read_faiss

    mapped = settings.index_memory == "mmap"
    if path.is_dir():
        manifest = _checked(path, corpus, method=settings.retrieval_method, encoder=encoder.name)
        index = read_faiss(path / INDEX, mapped=mapped)
        stored = read_faiss(path / VECTORS, mapped=True) if (path / VECTORS).is_file() else None
        _fits(index, path, corpus, encoder)
        return _searchable(settings, index, stored, manifest)
    index = read_faiss(path, mapped=mapped)
    _fits(index, path, corpus, encoder)
    if settings.check_vectors:
        _same_passages(index, path, corpus, encoder, flat_view)
    return _searchable(settings, index, None, None)


def _searchable(settings: RetrieverSettings, index: Any, stored: Any, manifest: Manifest | None) -> VectorIndex:
    from mentor_retriever.index.approximate import ApproximateIndex, tune
    from mentor_retriever.index.faiss_file import flat_view, is_flat
    from mentor_retriever.index.flat import FlatIndex

    if is_flat(index):
        if not settings.faiss_gpu:
            return FlatIndex(index, settings.workers)
        from mentor_retriever.index.gpu import on_gpus

        cards = on_gpus(flat_view(index), fp16=settings.fp16)
        return ApproximateIndex(cards, stored=None, refine=0, parallel=1)
    if settings.faiss_gpu:
        raise UserError("faiss_gpu holds flat indexes; this one is not flat", field="faiss_gpu", allowed="false")
    tune(index, nprobe=settings.nprobe, ef_search=settings.ef_search)
    refine = settings.refine or (manifest.refine if manifest else 0)
    return ApproximateIndex(index, stored=stored if refine else None, refine=refine, parallel=settings.workers)


def _checked(path: Path, corpus: Corpus, *, method: str, encoder: str) -> Manifest:
    manifest = read_manifest(path)
    expected = {"corpus_sha256": corpus.fingerprint, "documents": len(corpus), "encoder": encoder}
    if (manifest.kind == BM25) != (method == "bm25"):
        raise UserError(f"{path} holds an index of kind {manifest.kind}, not one for {method}", field="index_path")
    manifest.check(expected, path)
    return manifest


def _fits(index: Any, path: Path, corpus: Corpus, encoder: Encoder) -> None:
    if index.ntotal != len(corpus):
        message = f"{path} holds {index.ntotal} vectors, the corpus {len(corpus)} documents"
        raise UserError(message, field="index_path")
    if index.d != encoder.dimension:
        message = f"{path} has dimension {index.d}, the encoder {encoder.dimension}"
        raise UserError(message, field="index_path")


def _same_passages(index: Any, path: Path, corpus: Corpus, encoder: Encoder, view: Any) -> None:
    """An index from elsewhere says nothing of its corpus; a few of its vectors do."""
    from mentor_retriever.index.faiss_file import is_flat

    if not is_flat(index):
        return
    rows = sorted({0, len(corpus) // 2, len(corpus) - 1})
    stored = np.array(view(index)[rows])
    fresh = encoder.encode_passages([corpus[row]["contents"] for row in rows])
    scale = np.linalg.norm(stored, axis=1) * np.linalg.norm(fresh, axis=1)
    for row, cosine in zip(rows, np.einsum("rd,rd->r", stored, fresh) / np.maximum(scale, 1e-12), strict=True):
        if cosine < _SAME:
            message = (
                f"{path} is of another corpus or encoder: its vector {row} has cosine {cosine:.2f} with passage {row}"
            )
            raise UserError(f"{message} (check_vectors: false takes it as it is)", field="index_path")


def _small_enough(settings: RetrieverSettings, corpus: Corpus, method: str) -> None:
    if len(corpus) <= settings.index_at_start:
        return
    model = "" if method == "bm25" else f" --model {settings.retrieval_model_path}"
    kind = "" if method == "bm25" else f" --kind {settings.index_kind}"
    command = f"mentor index build --corpus {corpus.path} --method {method}{model}{kind} --output DIR"
    message = f"{len(corpus)} documents are too many to index at start (index_at_start is {settings.index_at_start})"
    raise UserError(f"{message}; build the index with: {command}", field="index_path")


def _for_building(settings: RetrieverSettings, encoder: Encoder) -> Encoder:
    """The same encoder on all threads: nobody else wants them before the index is there."""
    if settings.encoder_factory or settings.workers == 1:
        return encoder
    from mentor_retriever.encoders.factory import open_encoder

    return open_encoder(settings, threads=settings.workers)


def _in_memory(settings: RetrieverSettings, corpus: Corpus, encoder: Encoder) -> Any:
    from mentor_retriever.index.faiss_file import assemble

    vectors: Vectors = np.concatenate(list(_encoded(corpus, encoder, 16 * settings.encode_batch_size)))
    index = assemble(kind_named(settings.index_kind), vectors, seed=0, threads=settings.workers)
    log.info("index made", documents=index.ntotal, dimension=index.d, kind=settings.index_kind)
    return index


def _encoded(corpus: Corpus, encoder: Encoder, chunk: int) -> Iterator[Vectors]:
    texts = corpus.contents()
    while some := list(islice(texts, chunk)):
        yield encoder.encode_passages(some)


def _build(settings: RetrieverSettings, corpus: Corpus, encoder: Encoder | None, path: Path, kind: str) -> None:
    from mentor_retriever.build import BuildPlan, build_index

    plan = BuildPlan(settings=settings, output=path, kind=kind, seed=0)
    build_index(plan, corpus, encoder)
    log.info("index built", documents=len(corpus), kind=kind, manifest=str(path / NAME))
