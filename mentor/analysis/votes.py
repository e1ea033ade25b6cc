"""Majority votes over samples: maj@k, by classes of equivalent answers."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import combinations

import numpy as np

from mentor.errors import UserError

Same = Callable[[int, int], bool]
"""Whether two samples, by their numbers, gave equivalent answers."""
_EXACT = 5_000
_DRAWS = 2_000


def classes(answers: Sequence[str | None], same: Same) -> list[int | None]:
    """The class of every sample's answer, as the number of the first that gave it; None where there is no answer.

    ``same`` is asked only about answers that differ as text, against the first member of each class.
    """
    found: list[int | None] = []
    by_text: dict[str, int] = {}
    for number, answer in enumerate(answers):
        if answer is None or not answer.strip():
            found.append(None)
            continue
        text = answer.strip()
        if text not in by_text:
            heads = dict.fromkeys(by_text.values())
            by_text[text] = next((head for head in heads if same(number, head)), number)
        found.append(by_text[text])
    return found


def majority_at_k(
    votes: Sequence[int | None], right: Sequence[float], k: int, seed: int = 0, exact: int = _EXACT, draws: int = _DRAWS
) -> float:
    """Chance that the most frequent class among ``k`` of the samples, drawn without repetition, is right.

    Ties are split evenly; who gives no answer does not vote, and without a vote nothing is right. Every choice of ``k`` is
    counted up to ``exact`` choices, else ``draws`` are drawn by ``seed``.

    Raises:
        UserError: ``k`` is not between 1 and the number of samples.
    """
    n = len(votes)
    if not 1 <= k <= n:
        raise UserError(f"k is {k}", field="k", allowed=f"1 to {n}")
    worth = {name: _mean([r for v, r in zip(votes, right, strict=True) if v == name]) for name in set(votes)}
    if len(set(worth.values()) - {None}) == 1 and None not in votes:
        return next(iter(worth.values()))
    chosen = list(combinations(range(n), k)) if math.comb(n, k) <= exact else _drawn(n, k, seed, draws)
    return _mean([_elected([votes[i] for i in choice], worth) for choice in chosen])


def _drawn(n: int, k: int, seed: int, draws: int) -> list[tuple[int, ...]]:
    rng = np.random.default_rng(seed)
    return [tuple(int(i) for i in rng.permutation(n)[:k]) for _ in range(draws)]


def _elected(votes: Sequence[int | None], worth: dict[int | None, float]) -> float:
    counts = Counter(vote for vote in votes if vote is not None)
    if not counts:
        return 0.0
    most = max(counts.values())
    return _mean([worth[name] for name, count in counts.items() if count == most])


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)
