"""Worlds with a known truth: questions of known difficulty, samples that resemble one another within a question."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

Rng = np.random.Generator
Values = dict[str, list[float]]


def rates(rng: Rng, p: float, correlation: float, n: int) -> np.ndarray:
    """Chances of a right answer by question, with mean ``p`` and the given correlation between a question's samples."""
    if correlation <= 0:
        return np.full(n, p)
    size = 1 / correlation - 1
    return rng.beta(p * size, (1 - p) * size, n)


def answers(rng: Rng, chances: np.ndarray, samples: int) -> Values:
    """Right and wrong answers by question."""
    drawn = rng.random((len(chances), samples)) < chances[:, None]
    return {str(n): row for n, row in enumerate(drawn.astype(float).tolist())}


def two_sides(rng: Rng, p: tuple[float, float], n: int, samples: int, shared: float = 0.7) -> tuple[Values, Values]:
    """Two models on the same questions: a question is equally hard for both with probability ``shared``."""
    from scipy.special import betaincinv

    rank = rng.random(n)
    other = np.where(rng.random(n) < shared, rank, rng.random(n))
    chances = (betaincinv(q, 1 - q, place) for q, place in zip(p, (rank, other), strict=True))
    one, two = (answers(rng, chance, samples) for chance in chances)
    return one, two


def over_seeds(
    rng: Rng, level: float, hard: np.ndarray, seeds: int, by_seed: float, samples: int, rest: float = 0.3
) -> np.ndarray:
    """Shares of right answers by seed and question, shape (seeds, questions): probit random effects of the seed (standard
    deviation ``by_seed``), of the question (``hard``) and of both together (``rest``)."""
    from scipy.special import ndtr

    noise = by_seed * rng.normal(size=(seeds, 1)) + rest * rng.normal(size=(seeds, len(hard)))
    found: np.ndarray = rng.binomial(samples, ndtr(level + noise - hard)) / samples
    return found


def expected(level: float, *spreads: float) -> float:
    """The mean of such shares over seeds and questions."""
    from scipy.special import ndtr

    return float(ndtr(level / np.sqrt(1 + sum(spread**2 for spread in spreads))))


@dataclass(frozen=True)
class Amount:
    """A distribution of what is never negative: calls, tokens, seconds."""

    name: str
    mean: float
    draw: Callable[[Rng, int], np.ndarray]


AMOUNTS: Sequence[Amount] = (
    Amount("calls, Poisson 0.1", 0.1, lambda rng, n: rng.poisson(0.1, n).astype(float)),
    Amount("calls, Poisson 2", 2.0, lambda rng, n: rng.poisson(2.0, n).astype(float)),
    Amount("calls, geometric 1", 1.0, lambda rng, n: rng.geometric(0.5, n) - 1.0),
    Amount("calls, negative binomial 1", 1.0, lambda rng, n: rng.poisson(rng.gamma(0.5, 2.0, n)).astype(float)),
    Amount("tokens, lognormal 0.5", float(np.exp(0.125)), lambda rng, n: rng.lognormal(0.0, 0.5, n)),
    Amount("tokens, lognormal 1", float(np.exp(0.5)), lambda rng, n: rng.lognormal(0.0, 1.0, n)),
)
