"""Means over seeds and questions together: every seed's model answers every question, and both are draws of something larger.

An interval over questions alone holds for the models at hand; what is said of a way of training must hold for its next seed
too. With y the mean of a seed's samples of a question, the model is y = mean + seed + question + rest, all but the mean
random, and the variance of the grand mean is (MS_seeds + MS_questions - MS_rest) / cells, with the mean squares of a two-way
analysis of variance. For ratios and for cells that are missing, y is the ratio's first-order term (Cameron, Gelbach and
Miller, J. Business & Economic Statistics 29, 2011). ``scatter`` makes intervals of it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from mentor.analysis.clusters import Ratio
from mentor.analysis.intervals import Estimate
from mentor.analysis.scatter import Scatter, scatter_of
from mentor.analysis.shares import exact_interval, exact_p
from mentor.errors import UserError

Cells = Mapping[int, Mapping[str, tuple[float, float]]]
"""By seed, by question id: a numerator and a denominator, such as right samples and samples. No entry: not asked, or lost."""
_UPPER = 0.975
_Z = 1.959963984540054
_EDGE = 1e-12


class CrossedEstimate(Estimate):
    """A mean with its 95% interval over seeds and questions; over questions alone where ``seeds`` is 1.

    ``clusters`` counts questions.
    """

    seeds: int
    scatter: Scatter


class CrossedDifference(CrossedEstimate):
    """A difference with the two-sided p-value that belongs to its interval: below 0.05 where the interval leaves 0 out."""

    p: float

    def detectable(self, power: float = 0.8, level: float = 0.05) -> float:
        """The true difference that as many seeds and questions with this scatter would find with the given power."""
        return self.scatter.reach(1 - level / 2) + self.scatter.reach(power)


@dataclass(frozen=True)
class Grid(Ratio):
    """A ratio of sums over seeds and questions: shape (seeds, questions); a size of 0 is a cell without samples."""

    @property
    def per_question(self) -> float:
        """What the sizes count (samples, calls), per question over all seeds."""
        return float(self.sizes.sum() / self.sizes.shape[1])


def grid_of(cells: Cells) -> Grid:
    """Cells as matrices, over all questions that any seed was asked.

    Raises:
        UserError: there is nothing to average.
    """
    return _grid(cells, sorted({name for row in cells.values() for name in row}))


def shared_grids(left: Cells, right: Cells) -> tuple[Grid, Grid]:
    """Both sides on the seeds and questions that they share; a cell that one side lacks is left out of both.

    Raises:
        UserError: they share none.
    """
    both = {seed: [name for name in left[seed] if name in right[seed]] for seed in left if seed in right}
    names = sorted({name for row in both.values() for name in row})
    one, two = ({s: {n: side[s][n] for n in row} for s, row in both.items() if row} for side in (left, right))
    return _grid(one, names), _grid(two, names)


def share_over_seeds(cells: Cells) -> CrossedEstimate:
    """A share between 0 and 1: Korn and Graubard's interval (``mentor.analysis.shares``) at the number of samples that the
    scatter over seeds and questions leaves.

    Raises:
        UserError: there is no sample at all.
    """
    grid = grid_of(cells)
    found = scatter_of(grid.residuals)
    mean = min(1.0, max(0.0, grid.mean))
    low, high = exact_interval(mean, _effective(mean, found, float(grid.sizes.sum()), grid.sizes.shape[1]))
    return _estimate(grid, found, low, high)


def amount_over_seeds(cells: Cells, step: float = 1.0) -> CrossedEstimate:
    """The mean of what is never negative: Student's t below, the same on a logarithmic scale above (as ``means.amount``).

    Raises:
        UserError: there is no sample at all.
    """
    grid = grid_of(cells)
    found = scatter_of(grid.residuals, step / math.sqrt(grid.per_question))
    mean, half = grid.mean, found.reach(_UPPER)
    high = max(mean + half, mean * math.exp(min(half / mean, 50.0))) if mean > 0 else half
    return _estimate(grid, found, max(0.0, mean - half), high)


def difference_over_seeds(
    left: Cells, right: Cells, *, bound: float = math.inf, step: float = 1.0
) -> CrossedDifference:
    """left - right, paired by seed and question.

    Args:
        bound: the difference cannot be larger; 1 for shares.
        step: the least difference of a single sample; 0 where there is none.

    Raises:
        UserError: the two sides share no question of a seed.
    """
    one, two = shared_grids(left, right)
    found = scatter_of(one.residuals - two.residuals, step / math.sqrt(min(one.per_question, two.per_question)))
    n = round(float(one.sizes.sum() + two.sizes.sum()))
    return difference_of(one.mean - two.mean, found, one.sizes.shape, n, bound)


def difference_of(
    mean: float, found: Scatter, shape: tuple[int, ...], n: int, bound: float = math.inf
) -> CrossedDifference:
    """A difference from its scatter; ``shape`` is (seeds, questions)."""
    half = found.reach(_UPPER)
    return CrossedDifference(
        mean=mean, low=max(-bound, mean - half), high=min(bound, mean + half), n=n, clusters=shape[1], seeds=shape[0],
        scatter=found, p=found.p(mean),
    )  # fmt: skip


def against_value(estimate: CrossedEstimate, value: float, *, share: bool) -> CrossedDifference:
    """An estimate minus a fixed number, with the two-sided p-value of their being equal.

    ``share``: by the exact binomial test at the effective number of samples, as its interval is; else by its scatter.
    """
    found = estimate.scatter
    if share:
        p = exact_p(estimate.mean, _effective(estimate.mean, found, estimate.n, estimate.clusters), value)
    else:
        p = found.p(estimate.mean - value)
    moved = {"mean": estimate.mean - value, "low": estimate.low - value, "high": estimate.high - value}
    return CrossedDifference(**(estimate.model_dump() | moved), p=p)


def _grid(cells: Cells, names: list[str]) -> Grid:
    rows = [[row.get(name, (0.0, 0.0)) for name in names] for row in cells.values()]
    values = np.array(rows, dtype=float).reshape(len(rows), len(names), 2)
    if not values[..., 1].sum():
        raise UserError(
            "no samples to average", field="cells", allowed="a sample of a question that both sides answered"
        )
    return Grid(values[..., 0], values[..., 1])


def _effective(mean: float, found: Scatter, samples: float, questions: int) -> float:
    """As how many independent samples those at hand count; questions, where nothing scatters."""
    reach = found.reach(_UPPER)
    if found.variance <= _EDGE or not 0 < mean < 1:
        return float(questions)
    return min(samples, mean * (1 - mean) * (_Z / reach) ** 2)


def _estimate(grid: Grid, found: Scatter, low: float, high: float) -> CrossedEstimate:
    seeds, questions = grid.sizes.shape
    return CrossedEstimate(
        mean=grid.mean, low=low, high=high, n=round(float(grid.sizes.sum())), clusters=questions, seeds=seeds, scatter=found
    )  # fmt: skip
