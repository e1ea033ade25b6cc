"""Every other FAISS index, re-ranked from stored vectors where its kind asks for it."""

from __future__ import annotations

from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from mentor_retriever.encoders.base import Vectors
from mentor_retriever.index.base import Ranking
from mentor_retriever.index.faiss_file import flat_view
from mentor_retriever.index.flat import rankings


class ApproximateIndex:
    """See ``VectorIndex``.

    Args:
        index: any FAISS index.
        stored: a flat index, mapped; candidates are scored again by its vectors. None: no re-ranking.
        refine: candidates per passage asked for.
        parallel: searches side by side; each runs in one OpenMP thread.
    """

    def __init__(self, index: Any, *, stored: Any, refine: int, parallel: int) -> None:
        self._index = index
        self._owner = stored  # keeps the vectors alive
        self._stored = None if stored is None else flat_view(stored)
        self._refine = refine
        self.parallel = parallel
        self.documents, self.dimension = int(index.ntotal), int(index.d)

    def search(self, vectors: Vectors, top_n: int) -> list[Ranking]:
        """See ``VectorIndex.search``."""
        faiss.omp_set_num_threads(1)  # OpenMP keeps this per calling thread
        count = top_n if self._stored is None else top_n * max(1, self._refine)
        scores, rows = self._index.search(vectors, min(count, self.documents))
        if self._stored is not None:
            scores, rows = rerank(vectors, rows, self._stored, top_n)
        return rankings(scores, rows)


def rerank(
    vectors: Vectors, rows: NDArray[np.int64], stored: NDArray[np.float32], top_n: int
) -> tuple[Vectors, NDArray[np.int64]]:
    """Exact inner products of candidates, and the best ``top_n`` of them; missing candidates (-1) stay last."""
    # Read in the order of the file: candidates of all queries, each once.
    wanted, places = np.unique(np.maximum(rows, 0), return_inverse=True)
    found = np.asarray(stored[wanted])[places.reshape(rows.shape)]
    scores = np.einsum("qd,qkd->qk", vectors, found, dtype=np.float32)
    scores[rows < 0] = -np.inf
    order = np.argsort(-scores, axis=1, kind="stable")[:, :top_n]
    return np.take_along_axis(scores, order, axis=1), np.take_along_axis(rows, order, axis=1)


def tune(index: Any, *, nprobe: int | None, ef_search: int | None) -> None:
    """Set how much of an index a search looks at, where it has such a thing."""
    inverted = faiss.try_extract_index_ivf(index)
    if inverted is not None and nprobe is not None:
        inverted.nprobe = nprobe
    if ef_search is not None and hasattr(index, "hnsw"):
        index.hnsw.efSearch = ef_search
