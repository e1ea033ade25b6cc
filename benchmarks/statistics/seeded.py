"""Coverage of intervals over seeds and questions together, and of the pigeonhole bootstrap beside them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from benchmarks.statistics.worlds import Rng, expected, over_seeds
from mentor.analysis.crossed import Cells, difference_over_seeds, share_over_seeds

SEEDS = (3, 5)
_BY_SEED = (0.0, 0.1, 0.3)
"""Standard deviations of a seed's effect on the probit scale: at p = 0.5, none, about 3 and about 8 points of accuracy."""
_LEVELS = {"0.02": -2.9, "0.4": -0.36, "0.9": 1.81}
_HARD, _REST, _DRAWS = 0.95, 0.3, 400
Interval = Callable[[np.ndarray, int, Rng], tuple[float, float]]
Seeded = tuple[str, str, Callable[[Rng], tuple[bool, bool]]]
"""Kind, world, trial."""


def seeded(n: int) -> Iterator[Seeded]:
    """All worlds of ``n`` questions."""
    for seeds in SEEDS:
        for by_seed in _BY_SEED:
            for samples in (1, 4):
                world = f"seeds scatter {by_seed:g}, {samples} samples"
                for p, level in _LEVELS.items():
                    trial = _share_trial(level, n, seeds, by_seed, samples, _share)
                    yield f"share over {seeds} seeds", f"p={p}, {world}", trial
                yield f"(pigeonhole bootstrap over {seeds} seeds)", f"p=0.4, {world}", _share_trial(
                    _LEVELS["0.4"], n, seeds, by_seed, samples, _pigeonhole
                )  # fmt: skip
                for gap in (0.0, 0.5):
                    trial = _difference_trial(gap, n, seeds, by_seed, samples)
                    yield f"difference over {seeds} seeds", f"gap {gap:g}, {world}", trial


def _cells(values: np.ndarray, samples: int) -> Cells:
    return {
        s: {str(q): (float(x) * samples, float(samples)) for q, x in enumerate(row)} for s, row in enumerate(values)
    }


def _share(values: np.ndarray, samples: int, rng: Rng) -> tuple[float, float]:
    found = share_over_seeds(_cells(values, samples))
    return found.low, found.high


def _pigeonhole(values: np.ndarray, samples: int, rng: Rng) -> tuple[float, float]:
    seeds, questions = values.shape
    rows = rng.multinomial(seeds, np.full(seeds, 1 / seeds), _DRAWS) / seeds
    columns = rng.multinomial(questions, np.full(questions, 1 / questions), _DRAWS) / questions
    low, high = np.percentile(((rows @ values) * columns).sum(axis=1), (2.5, 97.5))
    return float(low), float(high)


def _share_trial(
    level: float, n: int, seeds: int, by_seed: float, samples: int, interval: Interval
) -> Callable[[Rng], tuple[bool, bool]]:
    truth = expected(level, by_seed, _HARD, _REST)

    def trial(rng: Rng) -> tuple[bool, bool]:
        low, high = interval(
            over_seeds(rng, level, _HARD * rng.normal(size=n), seeds, by_seed, samples, _REST), samples, rng
        )
        return low <= truth <= high, False

    return trial


def _difference_trial(
    gap: float, n: int, seeds: int, by_seed: float, samples: int, own: float = 0.3
) -> Callable[[Rng], tuple[bool, bool]]:
    """``own``: how much questions are harder for one side than for the other."""
    spreads = (by_seed, _HARD, own, _REST)
    truth = expected(gap - 0.3, *spreads) - expected(-0.3, *spreads)

    def trial(rng: Rng) -> tuple[bool, bool]:
        hard = _HARD * rng.normal(size=n)
        one, two = (
            _cells(over_seeds(rng, level, hard + own * rng.normal(size=n), seeds, by_seed, samples, _REST), samples)
            for level in (gap - 0.3, -0.3)
        )
        found = difference_over_seeds(one, two, bound=1.0)
        return found.low <= truth <= found.high, False

    return trial
