"""The kinds of vector indexes, and what each will cost: memory, speed, recall, before anything is built.

Estimates follow from the sizes of what is stored. Recall is what ``mentor index compare`` measures on 6,119 real passages
with a small encoder (its table is in the service's README); it falls slowly with the number of passages.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from mentor.errors import UserError

_HNSW_LINKS = 32
_HNSW_EF = 64
_TRAIN_PER_LIST = 64


@dataclass(frozen=True)
class Kind:
    """How vectors are stored and searched.

    Args:
        factory: FAISS's index factory string; ``{lists}`` and ``{subspaces}`` are filled in.
        bytes_per_dimension: of a stored vector.
        extra_bytes: beside it, per vector (links, ids, factors).
        refine: candidates per passage asked for that are re-ranked from the stored fp32 vectors; 0: none.
        exact: the search is exhaustive over vectors as they are.
        lists, graph: an inverted file, or a graph: a query reads a part of the vectors only.
    """

    name: str
    factory: str
    bytes_per_dimension: float
    extra_bytes: int = 0
    refine: int = 0
    exact: bool = False
    lists: bool = False
    graph: bool = False
    recall: float = 1.0
    about: str = ""

    def factory_for(self, documents: int, dimension: int) -> str:
        """FAISS's description of the index."""
        return self.factory.format(lists=list_count(documents), subspaces=subspaces(dimension))

    def index_bytes(self, documents: int, dimension: int) -> int:
        """Size of the searched index."""
        centroids = list_count(documents) * dimension * 4 if self.lists else 0
        return round(documents * (dimension * self.bytes_per_dimension + self.extra_bytes)) + centroids

    def scanned_bytes(self, documents: int, dimension: int) -> float:
        """What one query alone reads."""
        whole = documents * dimension * self.bytes_per_dimension
        if self.graph:
            return min(whole, _HNSW_EF * _HNSW_LINKS * dimension * self.bytes_per_dimension)
        if self.lists:
            lists = list_count(documents)
            return whole * probes(lists) / lists + lists * dimension * 4
        return whole


def list_count(documents: int) -> int:
    """Lists of an IVF index: about 4 times the square root, a power of two, enough to train with."""
    wanted = 4 * math.sqrt(max(1, documents))
    power: int = 1 << round(math.log2(wanted))
    return max(1, min(power, documents // 39))


def probes(lists: int) -> int:
    """Lists that a query visits unless told otherwise."""
    return max(1, min(lists, max(32, lists // 32)))


def training_sample(lists: int) -> int:
    """Vectors that an index is trained with."""
    return max(65_536, _TRAIN_PER_LIST * lists)


def subspaces(dimension: int) -> int:
    """Sub-quantisers of a product quantiser: two dimensions each, 4 bits each."""
    return max(1, dimension // 2)


_ALL = (
    Kind("flat", "Flat", 4, exact=True, about="exact; the reference"),
    Kind("flat-fp16", "SQfp16", 2, about="half the memory, no loss worth naming"),
    Kind("sq8", "SQ8", 1, recall=0.994, about="a quarter of the memory"),
    Kind("ivf-flat", "IVF{lists},Flat", 4, extra_bytes=8, lists=True, recall=0.969, about="visits some lists only"),
    Kind(
        "ivf-sq8",
        "IVF{lists},SQ8",
        1,
        extra_bytes=8,
        lists=True,
        recall=0.964,
        about="the same in a quarter of the memory",
    ),
    Kind(
        "hnsw",
        f"HNSW{_HNSW_LINKS},Flat",
        4,
        extra_bytes=8 * _HNSW_LINKS + 16,
        graph=True,
        recall=0.997,
        about="built slowly",
    ),
    Kind("rabitq", "RaBitQ4", 0.5, extra_bytes=32, refine=8, about="an eighth of the memory, re-ranked"),
    Kind("pq-fastscan", "PQ{subspaces}x4fs", 0.25, refine=16, about="a sixteenth of the memory, re-ranked"),
    Kind(
        "ivf-rabitq",
        "IVF{lists},RaBitQ4",
        0.5,
        extra_bytes=40,
        refine=8,
        lists=True,
        recall=0.969,
        about="for large corpora",
    ),
)
KINDS = {kind.name: kind for kind in _ALL}


def kind_named(name: str) -> Kind:
    """Raises UserError if there is none."""
    if name not in KINDS:
        raise UserError(f"no index kind {name!r}", field="kind", allowed=", ".join(KINDS))
    return KINDS[name]


@dataclass(frozen=True)
class Estimate:
    """What a kind will take for a corpus. Sizes in bytes; ``queries_per_second`` of one machine, scan-bound."""

    kind: Kind
    documents: int
    dimension: int
    index_bytes: int
    stored_bytes: int
    queries_per_second: float


def estimate(kind: Kind, documents: int, dimension: int, bandwidth: float) -> Estimate:
    """``bandwidth``: bytes a second that the machine reads from memory. Batches of exact kinds read once for all."""
    return Estimate(
        kind=kind,
        documents=documents,
        dimension=dimension,
        index_bytes=kind.index_bytes(documents, dimension),
        stored_bytes=documents * dimension * 4 if kind.refine else 0,
        queries_per_second=bandwidth / max(1.0, kind.scanned_bytes(documents, dimension)),
    )
