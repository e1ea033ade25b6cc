"""Exact search over fp32 vectors that lie in memory or in a mapped file.

Facts behind it (FAISS 1.15, CPU): a flat search of few queries scans once per query; only from ``threshold`` on does it
multiply matrices and read the vectors once for the whole batch. And a search of one query runs in one thread. So the
threshold is lowered to the measured optimum, and the vectors are cut into slices that are searched side by side.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from mentor_retriever.encoders.base import Vectors
from mentor_retriever.index.base import Ranking
from mentor_retriever.index.faiss_file import flat_view

_BLAS_FROM = 6
"""Queries in a batch from which matrix multiplication beats scanning; measured on 100,000 and 1,000,000 x 384."""
_SMALLEST_SLICE = 4096


class FlatIndex:
    """See ``VectorIndex``.

    Args:
        index: a FAISS flat index; it owns (or maps) the vectors.
        threads: slices searched side by side.
    """

    parallel = 1

    def __init__(self, index: Any, threads: int) -> None:
        self._index = index  # keeps the vectors alive
        self.documents, self.dimension = int(index.ntotal), int(index.d)
        self.vectors = flat_view(index)
        self._metric = int(index.metric_type)
        self._slices = _slices(self.documents, threads)
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="scan")
        faiss.cvar.distance_compute_blas_threshold = _BLAS_FROM * self.dimension

    def search(self, vectors: Vectors, top_n: int) -> list[Ranking]:
        """See ``VectorIndex.search``."""
        parts = list(self._threads.map(lambda cut: self._scan(vectors, top_n, *cut), self._slices))
        scores = np.concatenate([part[0] for part in parts], axis=1)
        rows = np.concatenate([part[1] for part in parts], axis=1)
        # Stable: of equal scores the lower row comes first, as slices are in order.
        order = np.argsort(-scores, axis=1, kind="stable")[:, :top_n]
        return rankings(np.take_along_axis(scores, order, axis=1), np.take_along_axis(rows, order, axis=1))

    def _scan(self, vectors: Vectors, top_n: int, begin: int, end: int) -> tuple[Vectors, NDArray[np.int64]]:
        faiss.omp_set_num_threads(1)  # OpenMP keeps this per calling thread
        scores, rows = faiss.knn(vectors, self.vectors[begin:end], min(top_n, end - begin), self._metric)
        return (scores if self._metric == faiss.METRIC_INNER_PRODUCT else -scores), rows + begin


def _slices(documents: int, threads: int) -> list[tuple[int, int]]:
    count = max(1, min(threads, documents // _SMALLEST_SLICE))
    edges = [documents * number // count for number in range(count + 1)]
    return list(pairwise(edges))


def rankings(scores: Vectors, rows: NDArray[np.int64]) -> list[Ranking]:
    """FAISS's two matrices as rankings; -1 means that there was no further row."""
    found = zip(rows.tolist(), scores.tolist(), strict=True)
    return [[(row, score) for row, score in zip(*pair, strict=True) if row >= 0] for pair in found]
