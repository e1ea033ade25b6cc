"""Whether ours finds what the published retrievers find: same encoder, same flat index, same ids, same scores.

FlashRAG is asked for batches of one: its single search slices the query's string into pieces of 64 characters, as if it
were a list of queries, and answers for the first piece.
"""

from __future__ import annotations

from contextlib import ExitStack

from benchmarks.results import Row
from benchmarks.retriever.peers import recall, search_r1
from benchmarks.retriever.plan import Plan
from benchmarks.retriever.queries import distinct, questions
from benchmarks.retriever.rates import ENCODER
from benchmarks.retriever.servers import ours

QUERIES = 200
TOLERANCE = 1e-4


def same(plan: Plan) -> list[Row]:
    """Share of queries with equal ids in equal order, and the largest difference of scores in units of the tolerance."""
    corpus = plan.corpus(ENCODER)
    texts = [question.text for question in questions(corpus)]
    asked = [*texts[:QUERIES], *(distinct(texts, number) for number in range(len(texts), QUERIES))]
    rows = []
    with ExitStack() as stack:
        mine = stack.enter_context(ours(corpus, plan.settings))
        found = [mine.ask(query) for query in asked]
        for peer, route in ((search_r1, "/retrieve"), (recall, "/batch_search")):
            with peer(corpus) as other:
                theirs = [other.ask(query, route) for query in asked]
            equal = [_ids(a) == _ids(b) for a, b in zip(found, theirs, strict=True)]
            apart = max(
                abs(score - known)
                for one, two in zip(found, theirs, strict=True)
                for (_, score), (_, known) in zip(one, two, strict=True)
            )
            name = f"{corpus.size:,} passages, top {len(found[0])} beside {other.name}"
            share = (sum(equal) / len(equal),)
            rows.append(Row(f"{name}: identical rankings", "of 1", share, "wanted", (1.0,), len(asked), 1.0))
            rows.append(Row(f"{name}: scores differ by", "", (apart,), "allowed", (TOLERANCE,), len(asked), 1.0, True))
    return rows


def _ids(ranking: list[tuple[str, float]]) -> list[str]:
    return [number for number, _ in ranking]
