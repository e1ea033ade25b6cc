"""The estimate that is printed before an index is built."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from mentor_retriever.index.kinds import estimate, kind_named

_PROBE_BYTES = 256 * 1024 * 1024


def table(kinds: Sequence[str], documents: int, dimension: int) -> str:
    """Markdown: memory of the searched index, disk, queries a second alone, and recall@5 as measured on a small corpus."""
    bandwidth = memory_bandwidth()
    lines = [
        f"{documents:,} passages of {dimension} dimensions; this machine reads {bandwidth / 1e9:.1f} GB/s",
        "",
        "| kind | index, GiB | stored vectors, GiB | queries/s, one at a time | recall@5 | |",
        "|---|---|---|---|---|---|",
    ]
    for name in kinds:
        found = estimate(kind_named(name), documents, dimension, bandwidth)
        sizes = f"{found.index_bytes / 2**30:.2f} | {found.stored_bytes / 2**30:.2f}"
        about = found.kind.about
        lines.append(f"| {name} | {sizes} | {found.queries_per_second:.3g} | {found.kind.recall:.3f} | {about} |")
    lines += ["", "Batches of exact kinds read the vectors once for all their queries. Recall: `mentor index compare`."]
    return "\n".join(lines)


def memory_bandwidth() -> float:
    """Bytes a second that all cores together read, measured for a moment; best of three."""
    cores = os.cpu_count() or 1
    data = np.ones((cores, _PROBE_BYTES // cores // 4), dtype=np.float32)
    best = 0.0
    with ThreadPoolExecutor(cores) as threads:
        for _ in range(3):
            began = time.perf_counter()
            list(threads.map(np.max, data))
            best = max(best, data.nbytes / (time.perf_counter() - began))
    return best
