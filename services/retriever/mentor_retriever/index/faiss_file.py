"""Opening FAISS files, and making FAISS indexes of vectors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from mentor.errors import UserError
from mentor_retriever.index.kinds import Kind, list_count, probes, training_sample

_ADD = 16_384
_EF_CONSTRUCTION, _EF_SEARCH = 100, 96
"""FAISS's own 40 and 16 find too little (recall@5 .92 on 6,119 real passages)."""


def read_faiss(path: Path, *, mapped: bool) -> Any:
    """A FAISS index; where its form allows, its vectors stay in the file.

    Raises:
        UserError: the file is missing or no FAISS index.
    """
    if not path.is_file():
        raise UserError(f"{path} does not exist", field="index_path")
    try:
        return faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC if mapped else 0)
    except RuntimeError as error:
        reason = str(error).splitlines()[0][:200]
        raise UserError(f"{path} is not a FAISS index: {reason}", field="index_path") from None


def is_flat(index: Any) -> bool:
    """Whether an index is exact fp32 vectors, by inner product or distance."""
    return type(index) in (faiss.IndexFlat, faiss.IndexFlatIP, faiss.IndexFlatL2)


def assemble(
    kind: Kind, vectors: NDArray[np.float32], *, seed: int, threads: int, seen: Callable[[int], None] = lambda _: None
) -> Any:
    """Make an index of ``vectors`` [documents, dimension], which may be mapped: they are read in order, in pieces.

    The same vectors, seed and (for HNSW) one thread give the same bytes.

    Args:
        seen: told how many vectors were added.
    """
    documents, dimension = vectors.shape
    faiss.omp_set_num_threads(threads)
    index: Any = faiss.index_factory(dimension, kind.factory_for(documents, dimension), faiss.METRIC_INNER_PRODUCT)
    if kind.graph:
        index.hnsw.efConstruction, index.hnsw.efSearch = _EF_CONSTRUCTION, _EF_SEARCH
    if not index.is_trained:
        index.train(_sample(vectors, training_sample(list_count(documents)), seed))
    for start in range(0, documents, _ADD):
        index.add(np.ascontiguousarray(vectors[start : start + _ADD]))
        seen(min(documents, start + _ADD))
    if kind.lists:
        faiss.extract_index_ivf(index).nprobe = probes(list_count(documents))
    return index


def _sample(vectors: NDArray[np.float32], count: int, seed: int) -> NDArray[np.float32]:
    if count >= len(vectors):
        return np.ascontiguousarray(vectors)
    rows = np.sort(np.random.default_rng(seed).choice(len(vectors), count, replace=False))
    return np.ascontiguousarray(vectors[rows])


def flat_view(index: Any) -> NDArray[np.float32]:
    """The vectors of a flat index, [documents, dimension], not copied; valid as long as the index lives."""
    flat = faiss.rev_swig_ptr(index.get_xb(), index.ntotal * index.d)
    vectors: NDArray[np.float32] = flat.reshape(index.ntotal, index.d)
    return vectors


def flat_header(documents: int, dimension: int) -> bytes:
    """What stands before the vectors in the file of a flat inner-product index.

    FAISS itself writes it, for one vector; only the two counts are put in. So a file can be written as vectors come,
    without holding an index in memory.
    """
    one = faiss.IndexFlatIP(dimension)
    one.add(np.zeros((1, dimension), dtype=np.float32))
    header = bytearray(faiss.serialize_index(one).tobytes()[: -4 * dimension])
    counts = {8: (1, documents), len(header) - 8: (dimension, documents * dimension)}
    for offset, (is_now, becomes) in counts.items():
        if int.from_bytes(header[offset : offset + 8], "little") != is_now:
            raise RuntimeError(f"FAISS {faiss.__version__} writes flat indexes in another form")
        header[offset : offset + 8] = becomes.to_bytes(8, "little")
    return bytes(header)
