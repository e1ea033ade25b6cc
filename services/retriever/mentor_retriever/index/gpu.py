"""Flat vectors on GPUs: sharded, fp16, filled in chunks.

The whole index is never copied: FAISS's own ``index_cpu_to_all_gpus`` makes a second one in host memory and, with fp16, a
whole fp32 copy on the card before it converts, which is what breaks 80 GB cards at 21 million passages of 768 dimensions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from mentor.errors import UserError

CHUNK_BYTES = 256 * 1024 * 1024


def on_gpus(vectors: NDArray[np.float32], *, fp16: bool) -> Any:
    """A sharded exact index over all GPUs that FAISS sees.

    Raises:
        UserError: FAISS sees none.
    """
    count = faiss.get_num_gpus() if hasattr(faiss, "get_num_gpus") else 0
    if not count:
        raise UserError("faiss_gpu: FAISS sees no GPU here", field="faiss_gpu", allowed="false")
    return sharded(vectors, [_on(device, vectors.shape[1], fp16) for device in range(count)])


def sharded(vectors: NDArray[np.float32], makers: Sequence[Callable[[], Any]]) -> Any:
    """One empty index of each maker, filled with consecutive rows, a chunk at a time; rows keep their numbers."""
    documents, dimension = vectors.shape
    edges = [documents * number // len(makers) for number in range(len(makers) + 1)]
    chunk = max(1, CHUNK_BYTES // (4 * dimension))
    parts = []
    for make, (begin, end) in zip(makers, pairwise(edges), strict=True):
        part = make()
        for start in range(begin, end, chunk):
            part.add(np.ascontiguousarray(vectors[start : min(end, start + chunk)]))
        parts.append(part)
    if len(parts) == 1:
        return parts[0]
    shards: Any = faiss.IndexShards
    whole = shards(dimension, True, True)  # searched in threads; successive ids
    for part in parts:
        whole.add_shard(part)
    return whole


def _on(device: int, dimension: int, fp16: bool) -> Callable[[], Any]:
    def make() -> Any:
        config = faiss.GpuIndexFlatConfig()
        config.device = device
        config.useFloat16 = fp16
        resources = faiss.StandardGpuResources()
        return faiss.GpuIndexFlatIP(resources, dimension, config)  # FAISS's wrapper keeps the resources

    return make
