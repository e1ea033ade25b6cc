"""``python -m mentor_retriever.gpu_check``: FAISS on a GPU beside the CPU, for the self-test of a machine; one JSON object."""

from __future__ import annotations

import json
import sys

import numpy as np

_PASSAGES, _QUERIES, _WIDTH, _NEAREST = 20_000, 64, 128, 10


def compare() -> dict[str, object]:
    """The share of nearest neighbours that both find; ``missing`` where FAISS has no GPU."""
    import faiss

    if not hasattr(faiss, "StandardGpuResources") or not faiss.get_num_gpus():
        return {"missing": f"faiss {faiss.__version__} here is a build without GPUs, or sees none"}
    numbers = np.random.default_rng(0)
    passages, queries = (numbers.standard_normal((n, _WIDTH), dtype=np.float32) for n in (_PASSAGES, _QUERIES))
    index = faiss.IndexFlatIP(_WIDTH)
    index.add(passages)
    there = faiss.index_cpu_to_gpu(faiss.StandardGpuResources(), 0, index)
    ours, theirs = index.search(queries, _NEAREST)[1], there.search(queries, _NEAREST)[1]
    shared = sum(len(set(a) & set(b)) for a, b in zip(ours, theirs, strict=True))
    return {"neighbours": ours.size, "shared": shared}


if __name__ == "__main__":
    print(json.dumps(compare()))
    sys.exit(0)
