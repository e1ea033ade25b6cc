"""Queries per second and latencies of single-query callers: bound by the scan, and bound by the encoder."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from benchmarks.results import Row
from benchmarks.retriever.corpus import Corpus
from benchmarks.retriever.load import Seen, measure
from benchmarks.retriever.peers import by_batch, recall, search_r1
from benchmarks.retriever.plan import Plan
from benchmarks.retriever.queries import pool
from benchmarks.retriever.servers import Server, ours

SCAN, ENCODER = 1_000_000, 100_000
GOALS = {64: 3.0, 16: 2.0, 1: 1.0}
P99_GOALS = {64: 0.4}


def scan(plan: Plan) -> list[Row]:
    """A million passages, where reading the index is most of the work."""
    corpus = plan.corpus(SCAN)
    queries, rows = pool(plan.work, corpus), []
    with ExitStack() as stack:
        mine = stack.enter_context(ours(corpus, plan.settings))
        peers = _peers(stack, corpus)
        for callers in plan.concurrency:
            seen = alternate(plan, [mine, *peers], callers, queries)
            name = f"{corpus.size:,} passages, {callers} caller{'s' if callers > 1 else ''}"
            for peer, theirs in zip(peers, seen[1:], strict=True):
                rows += _rows(name, seen[0], peer.name, theirs, GOALS.get(callers), P99_GOALS.get(callers))
    return rows


def encoder(plan: Plan) -> list[Row]:
    """A hundred thousand passages, where encoding is most of the work; fp32, and the faster encoder if it is named."""
    corpus = plan.corpus(ENCODER)
    queries, rows = pool(plan.work, corpus), []
    with ExitStack() as stack:
        own = [stack.enter_context(ours(corpus, plan.settings))]
        if plan.fast:
            own.append(stack.enter_context(ours(corpus, (*plan.settings, *plan.fast), "ours, faster encoder")))
        else:
            print("the faster encoder is left out: no --fast NAME=VALUE", file=sys.stderr)
        peers = _peers(stack, corpus)
        seen = alternate(plan, [*own, *peers], 64, queries)
    name = f"{corpus.size:,} passages, 64 callers"
    kinds = ((f"{name}, fp32", 1.5), (f"{name}, {' '.join(plan.fast)}", 2.5))
    for (kind, goal), mine in zip(kinds, seen[: len(own)], strict=False):
        for peer, theirs in zip(peers, seen[len(own) :], strict=True):
            rows += _rows(kind, mine, peer.name, theirs, goal, None)
    return rows


def _peers(stack: ExitStack, corpus: Corpus) -> list[Server]:
    """Search-R1's, and MENTOR/ReCall's by both of its routes."""
    published = stack.enter_context(recall(corpus))
    return [stack.enter_context(search_r1(corpus)), published, by_batch(published)]


def alternate(plan: Plan, servers: Sequence[Server], callers: int, queries: Path) -> list[list[Seen]]:
    """What callers of each server saw in every round; in one round all of them get the same queries."""
    seen: list[list[Seen]] = [[] for _ in servers]
    for _ in range(plan.rounds):
        first = plan.first_query()
        for place, server in enumerate(servers):
            found = measure(server.port, server.route, callers, plan.seconds, queries, first)
            if found.errors:
                print(f"{server.name}: {found.errors} failed: {found.failure}", file=sys.stderr)
            seen[place].append(found)
    return seen


def _rows(
    name: str, mine: Sequence[Seen], peer: str, theirs: Sequence[Seen], goal: float | None, p99_goal: float | None
) -> list[Row]:
    answers = sum(each.answers for each in mine)
    errors = sum(each.errors for each in (*mine, *theirs))
    rates = (tuple(each.rate for each in side) for side in (mine, theirs))
    tails = (tuple(each.p99_ms for each in side) for side in (mine, theirs))
    middles = (tuple(each.p50_ms for each in side) for side in (mine, theirs))
    return [
        Row(name, "queries/s", next(rates), peer, next(rates), answers, goal, errors=errors),
        Row(f"{name}, p50", "ms", next(middles), peer, next(middles), answers, errors=errors),
        Row(f"{name}, p99", "ms", next(tails), peer, next(tails), answers, p99_goal, True, errors),
    ]


def median_rate(seen: Sequence[Seen]) -> float:
    """Queries per second."""
    return statistics.median(each.rate for each in seen)
