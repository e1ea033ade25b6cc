"""From nothing to the first answer over a million passages: memory, CPU and wall time.

First like beside like, the encoder in PyTorch on both sides, as the goals are meant; then ours by ONNX Runtime, which is
advised on a CPU and which the peers do not offer.

Every server was started once before, unmeasured, so that what each keeps beside the corpus (offsets, an Arrow table)
is there and all files are in the page cache.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

from benchmarks.results import Row
from benchmarks.retriever.peers import recall, search_r1
from benchmarks.retriever.plan import Plan
from benchmarks.retriever.rates import SCAN
from benchmarks.retriever.servers import Server, Start, ours

MB = 1e6


def start(plan: Plan) -> list[Row]:
    """Ours beside each peer, one running at a time."""
    corpus = plan.corpus(SCAN)
    torch, onnx = ((*plan.settings, f"encoder_backend={backend}") for backend in ("torch", "onnx"))
    makes: list[Callable[[], AbstractContextManager[Server]]] = [
        lambda: ours(corpus, torch),
        lambda: ours(corpus, onnx),
        lambda: search_r1(corpus),
        lambda: recall(corpus),
    ]
    if plan.memory:
        makes.append(lambda: ours(corpus, (*onnx, *plan.memory)))
    seen: list[list[Start]] = [[] for _ in makes]
    names = [""] * len(makes)
    for measured in range(plan.rounds + 1):
        for place, make in enumerate(makes):
            with make() as server:
                names[place] = server.name
                if measured:
                    seen[place].append(server.start)
    rows = []
    for place, goals in ((2, (0.2, 0.5)), (3, (None, None))):
        rows += _rows(f"{corpus.size:,} passages, start, PyTorch", seen[0], names[place], seen[place], *goals)
        rows += _rows(f"{corpus.size:,} passages, start, ours by ONNX", seen[1], names[place], seen[place], None, None)
    in_memory = " ".join(plan.memory or plan.settings) or "default settings"
    resident = tuple(each.resident / MB for each in seen[-1 if plan.memory else 1])
    rows.append(
        Row(f"{corpus.size:,} passages, resident memory after one query ({in_memory})", "MB", resident,
            "the index file", (corpus.index_bytes / MB,), plan.rounds, 1.3, True)
    )  # fmt: skip
    return rows


def _rows(
    name: str, mine: list[Start], peer: str, theirs: list[Start], memory: float | None, cpu: float | None
) -> list[Row]:
    kinds: tuple[tuple[str, str, Callable[[Start], float], float | None], ...] = (
        ("private memory (Private_Dirty)", "MB", lambda seen: seen.dirty / MB, memory),
        ("resident memory", "MB", lambda seen: seen.resident / MB, None),
        ("of it mapped from files", "MB", lambda seen: (seen.resident - seen.dirty) / MB, None),
        ("CPU to the first answer", "s", lambda seen: seen.cpu_s, cpu),
        ("time to the first answer", "s", lambda seen: seen.wall_s, None),
    )
    return [
        Row(f"{name}: {kind}", unit, tuple(map(of, mine)), peer, tuple(map(of, theirs)), len(mine), goal, True)
        for kind, unit, of, goal in kinds
    ]
