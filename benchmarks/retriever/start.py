"""From nothing to the first answer over a million passages: memory, CPU and wall time.

Ours runs its encoder by ONNX Runtime, as is advised on a CPU; what PyTorch costs instead is printed beside it.

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
    corpus, onnx = plan.corpus(SCAN), (*plan.settings, "encoder_backend=onnx")
    makes: list[Callable[[], AbstractContextManager[Server]]] = [
        lambda: ours(corpus, onnx),
        lambda: search_r1(corpus),
        lambda: recall(corpus),
        lambda: ours(corpus, (*plan.settings, "encoder_backend=torch"), "ours, encoder by PyTorch"),
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
    for place, goals in ((1, (0.2, 0.5)), (2, (None, None)), (3, (None, None))):
        rows += _rows(f"{corpus.size:,} passages, start", seen[0], names[place], seen[place], *goals)
    in_memory = " ".join(plan.memory or plan.settings) or "default settings"
    resident = tuple(each.resident / MB for each in seen[-1 if plan.memory else 0])
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
        ("private memory with unshared file pages", "MB", lambda seen: (seen.dirty + seen.clean) / MB, None),
        ("resident memory", "MB", lambda seen: seen.resident / MB, None),
        ("CPU to the first answer", "s", lambda seen: seen.cpu_s, cpu),
        ("time to the first answer", "s", lambda seen: seen.wall_s, None),
    )
    return [
        Row(f"{name}: {kind}", unit, tuple(map(of, mine)), peer, tuple(map(of, theirs)), len(mine), goal, True)
        for kind, unit, of, goal in kinds
    ]
