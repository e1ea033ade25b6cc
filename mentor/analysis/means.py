"""Means, differences and quantiles with 95% intervals over questions, for what is no share: calls, tokens, seconds, money."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from mentor.analysis.clusters import Clusters, Ratios, Values, clusters_of, ratio_of
from mentor.analysis.intervals import Estimate
from mentor.analysis.shares import effective_samples
from mentor.errors import UserError
from mentor.trajectory import Frozen

_TAIL = 0.025


class Quantile(Frozen):
    """A quantile with its 95% interval. A bound is None where so few samples cannot give one."""

    value: float
    low: float | None
    high: float | None
    n: int
    clusters: int


def amount(values: Values, step: float = 1.0) -> Estimate:
    """The mean of what is never negative.

    Student's t over questions below, the same on a logarithmic scale above: such amounts have a long tail that few questions
    show little of. ``step``, the least difference that could have been seen, keeps the interval open where all are equal.

    Raises:
        UserError: there is no sample at all.
    """
    return amount_of(clusters_of(values), step)


def amount_ratio(ratios: Ratios) -> Estimate:
    """As ``amount``, for a ratio of two amounts, such as right answers by money."""
    return amount_of(ratio_of(ratios), 0.0)


def amount_of(clusters: Clusters, step: float) -> Estimate:
    """The estimate of a ratio that is never negative."""
    mean, half = clusters.mean, _half_width(clusters, step)
    high = max(mean + half, mean * math.exp(min(half / mean, 50.0))) if mean > 0 else half
    return _estimate(clusters, mean, max(0.0, mean - half), high)


def difference(before: Values, after: Values, *, bound: float = math.inf, step: float = 1.0) -> Estimate:
    """The mean over shared questions of (after - before), each its own control, by Student's t over questions.

    Two made-up questions, one ``step`` to each side, are added to the scatter (after Bonett and Price 2012): where all
    differences are 0 the interval is open all the same.

    Args:
        bound: the difference cannot be larger; 1 for shares.
        step: of a single sample; several samples of a question make smaller steps.

    Raises:
        UserError: the two sides share no question.
    """
    deltas, samples = paired(before, after)
    clusters = Clusters(deltas, np.ones(len(deltas)))
    mean, half = clusters.mean, _half_width(clusters, step / math.sqrt(samples))
    n = sum(len(before[k]) + len(after[k]) for k in before if k in after)
    return _estimate(clusters, mean, max(-bound, mean - half), min(bound, mean + half)).model_copy(update={"n": n})


def paired(before: Values, after: Values) -> tuple[np.ndarray, float]:
    """Differences of the questions' means, shape (questions,), and samples a question and side (harmonic mean).

    Raises:
        UserError: the two sides share no question.
    """
    shared = [k for k in before if len(before[k]) and len(after.get(k, ()))]
    if not shared:
        raise UserError("the two sides share no question", field="after", allowed="samples of the same questions")
    deltas = np.array([np.mean(after[k]) - np.mean(before[k]) for k in shared])
    inverse = np.mean([(1 / len(before[k]) + 1 / len(after[k])) / 2 for k in shared])
    return deltas, float(1 / inverse)


def standard_error(deltas: np.ndarray, step: float) -> float:
    """Of the mean of paired differences, the two made-up questions included."""
    n = len(deltas)
    return math.sqrt((float(((deltas - deltas.mean()) ** 2).sum()) + 2 * step**2) / ((n + 1) * n))


def quantile(values: Values, q: float) -> Quantile:
    """A quantile over all samples; its interval is that of order statistics at the effective number of samples.

    Raises:
        UserError: there is no sample at all.
    """
    flat = np.sort(np.concatenate([np.asarray(v, dtype=float) for v in values.values() if len(v)] or [np.empty(0)]))
    if not len(flat):
        raise UserError("no samples to order", field="values", allowed="at least one sample")
    value = float(np.quantile(flat, q))
    clusters = clusters_of({name: [float(x <= value) for x in v] for name, v in values.items()})
    low, high = _ranks(int(effective_samples(clusters)), q)
    return Quantile(
        value=value, low=_at(flat, low), high=_at(flat, high), n=len(flat), clusters=clusters.number
    )  # fmt: skip


def _ranks(n: int, q: float) -> tuple[float | None, float | None]:
    """Which order statistics, as shares of n, hold the quantile between them."""
    from scipy.special import bdtr

    below = np.asarray(bdtr(np.arange(n + 1), n, q))  # P(at most k of n lie below the quantile)
    low = int((below <= _TAIL).sum())
    high = int((below < 1 - _TAIL).sum()) + 1
    return (low / n if low else None), (high / n if high <= n else None)


def _at(ordered: np.ndarray, rank: float | None) -> float | None:
    if rank is None:
        return None
    return float(ordered[min(len(ordered), max(1, math.ceil(rank * len(ordered) - 1e-9))) - 1])


def _half_width(clusters: Clusters, step: float) -> float:
    from scipy.special import stdtrit

    n = clusters.number
    return float(stdtrit(max(1, n - 1), 1 - _TAIL)) * standard_error(clusters.residuals, step)


def _estimate(clusters: Clusters, mean: float, low: float, high: float) -> Estimate:
    return Estimate(mean=mean, low=low, high=high, n=round(clusters.total), clusters=clusters.number)


def skewness(values: Sequence[float]) -> float:
    """Of a sample; 0 where nothing scatters."""
    deviations = np.asarray(values, dtype=float) - np.mean(values)
    spread = float((deviations**2).mean())
    return float((deviations**3).mean() / spread**1.5) if spread > 0 else 0.0
