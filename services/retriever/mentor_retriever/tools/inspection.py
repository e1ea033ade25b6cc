"""What an index on disk is."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from mentor_retriever.index.faiss_file import is_flat, read_faiss
from mentor_retriever.index.manifest import INDEX, read_manifest, record


def inspected(path: Path, *, verify: bool) -> dict[str, Any]:
    """The manifest and what FAISS says; ``damaged`` names the files whose checksum differs (with ``verify``).

    Raises:
        UserError: there is no index.
    """
    if not path.is_dir():
        return _faiss(path)
    manifest = read_manifest(path)
    found = asdict(manifest)
    if (path / INDEX).is_file():
        found["faiss"] = _faiss(path / INDEX)
    manifest.check({}, path)
    if verify:
        found["damaged"] = [name for name, kept in manifest.files.items() if record(path / name) != kept]
    return found


def _faiss(path: Path) -> dict[str, Any]:
    index = read_faiss(path, mapped=True)
    metric = {0: "inner product", 1: "L2"}.get(int(index.metric_type), str(index.metric_type))
    return {
        "type": type(index).__name__,
        "documents": int(index.ntotal),
        "dimension": int(index.d),
        "metric": metric,
        "exact": is_flat(index),
        "bytes": path.stat().st_size,
    }
