"""Vector indexes on seeded vectors: recall of every preset, slices of the flat search, GPU filling, fusion, estimates."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pytest
from numpy.typing import NDArray

from mentor.errors import UserError
from mentor_retriever.index import gpu
from mentor_retriever.index.approximate import ApproximateIndex
from mentor_retriever.index.faiss_file import assemble, flat_header, flat_view, read_faiss
from mentor_retriever.index.flat import FlatIndex
from mentor_retriever.index.fusion import fuse
from mentor_retriever.index.kinds import KINDS, estimate, kind_named
from mentor_retriever.tools.evaluation import recall

DOCUMENTS, DIMENSION, QUERIES = 6000, 96, 64


@pytest.fixture(scope="module")
def vectors() -> NDArray[np.float32]:
    """Clustered as text is: neighbours exist, so that finding them means something."""
    random = np.random.default_rng(0)
    centres = random.standard_normal((300, DIMENSION))
    made = centres[random.integers(0, 300, DOCUMENTS)] + 0.7 * random.standard_normal((DOCUMENTS, DIMENSION))
    unit: NDArray[np.float32] = (made / np.linalg.norm(made, axis=1, keepdims=True)).astype(np.float32)
    return unit


@pytest.fixture(scope="module")
def queries(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    random = np.random.default_rng(1)
    noisy = vectors[random.integers(0, DOCUMENTS, QUERIES)] + 0.05 * random.standard_normal((QUERIES, DIMENSION))
    return noisy.astype(np.float32)


def flat(vectors: NDArray[np.float32]) -> Any:
    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(vectors)
    return index


@pytest.mark.parametrize("count", [1, 5, 64])
@pytest.mark.parametrize("threads", [1, 3])
def test_the_sliced_flat_search_finds_what_faiss_finds(
    vectors: NDArray[np.float32],
    queries: NDArray[np.float32],
    threads: int,
    count: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("mentor_retriever.index.flat._SMALLEST_SLICE", 1000)
    scores, rows = flat(vectors).search(queries[:count], 10)
    found = FlatIndex(flat(vectors), threads).search(queries[:count], 10)
    assert [[row for row, _ in ranking] for ranking in found] == rows.tolist()
    assert np.allclose([[score for _, score in ranking] for ranking in found], scores, atol=1e-5)


def test_more_is_asked_for_than_there_is(vectors: NDArray[np.float32], queries: NDArray[np.float32]) -> None:
    few = FlatIndex(flat(vectors[:3]), 2)
    assert [len(ranking) for ranking in few.search(queries[:2], 10)] == [3, 3]


@pytest.mark.parametrize("name", KINDS)
def test_every_preset_finds_at_least_95_of_100_exact_neighbours(
    name: str, vectors: NDArray[np.float32], queries: NDArray[np.float32], tmp_path: Path
) -> None:
    kind = kind_named(name)
    stored = flat(vectors)
    faiss.write_index(assemble(kind, vectors, seed=0, threads=1), str(tmp_path / "index"))
    index = read_faiss(tmp_path / "index", mapped=True)
    searcher = ApproximateIndex(index, stored=stored if kind.refine else None, refine=kind.refine, parallel=1)
    exact = FlatIndex(flat(vectors), 1).search(queries, 5)
    assert recall(exact, searcher.search(queries, 5)) >= 0.95


def test_the_same_vectors_and_seed_give_the_same_bytes(vectors: NDArray[np.float32]) -> None:
    for name in ("sq8", "ivf-sq8", "hnsw", "rabitq"):
        made = [faiss.serialize_index(assemble(kind_named(name), vectors, seed=3, threads=1)).tobytes() for _ in "ab"]
        assert made[0] == made[1], name


def test_a_flat_file_written_by_hand_is_what_faiss_writes(vectors: NDArray[np.float32], tmp_path: Path) -> None:
    faiss.write_index(flat(vectors), str(tmp_path / "faiss"))
    (tmp_path / "ours").write_bytes(flat_header(*vectors.shape) + vectors.tobytes())
    assert (tmp_path / "ours").read_bytes() == (tmp_path / "faiss").read_bytes()
    mapped = read_faiss(tmp_path / "ours", mapped=True)
    assert np.array_equal(flat_view(mapped), vectors)


def test_shards_on_devices_are_filled_in_chunks_and_keep_their_rows(
    vectors: NDArray[np.float32], queries: NDArray[np.float32], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpu, "CHUNK_BYTES", 4 * DIMENSION * 700)
    added: list[int] = []

    class Device(faiss.IndexFlatIP):  # type: ignore[misc]
        def add(self, chunk: NDArray[np.float32]) -> None:
            added.append(len(chunk))
            super().add(chunk)

    makers: list[Callable[[], Any]] = [lambda: Device(DIMENSION)] * 3
    whole = gpu.sharded(vectors, makers)
    assert max(added) == 700
    assert sum(added) == DOCUMENTS
    assert whole.search(queries, 5)[1].tolist() == flat(vectors).search(queries, 5)[1].tolist()


def test_without_a_gpu_faiss_gpu_is_refused(vectors: NDArray[np.float32]) -> None:
    with pytest.raises(UserError, match="FAISS sees no GPU"):
        gpu.on_gpus(vectors, fp16=True)


def test_fusion_adds_reciprocal_ranks() -> None:
    words, near = [(7, 12.0), (1, 9.0), (4, 3.0)], [(1, 0.9), (5, 0.8), (7, 0.1)]
    fused = fuse([words, near], 3)
    assert [row for row, _ in fused] == [1, 7, 5]
    assert fused[0][1] == pytest.approx(1 / 62 + 1 / 61)


def test_estimates_follow_the_sizes_of_what_is_stored(vectors: NDArray[np.float32]) -> None:
    for kind in KINDS.values():
        said = estimate(kind, DOCUMENTS, DIMENSION, 10e9).index_bytes
        is_now = len(faiss.serialize_index(assemble(kind, vectors, seed=0, threads=1)))
        assert said == pytest.approx(is_now, rel=0.25), kind.name
    wiki = estimate(kind_named("flat"), 21_015_324, 768, 10e9)
    assert wiki.index_bytes == 21_015_324 * 768 * 4
    with pytest.raises(UserError, match="no index kind 'best'"):
        kind_named("best")
