"""Means with 95% intervals, clustered by question: samples of one question are not independent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from mentor.errors import UserError
from mentor.trajectory import Frozen

_DRAWS = 10_000


class Estimate(Frozen):
    """A mean with its 95% interval. ``n`` counts samples, ``clusters`` the questions they came from."""

    mean: float
    low: float
    high: float
    n: int
    clusters: int


def cluster_bootstrap(values: Mapping[str, Sequence[float]], *, seed: int = 0, draws: int = _DRAWS) -> Estimate:
    """Mean over all samples, with a percentile bootstrap that resamples whole questions.

    Args:
        values: samples by question id.

    Raises:
        UserError: there is no sample at all.
    """
    groups = [np.asarray(v, dtype=float) for v in values.values() if len(v)]
    if not groups:
        raise UserError("no samples to average", field="values", allowed="at least one sample")
    sums, sizes = np.array([g.sum() for g in groups]), np.array([len(g) for g in groups])
    picks = np.random.default_rng(seed).integers(0, len(groups), size=(draws, len(groups)))
    means = sums[picks].sum(axis=1) / sizes[picks].sum(axis=1)
    return _estimate(float(sums.sum() / sizes.sum()), means, int(sizes.sum()), len(groups))


def paired_difference(
    before: Mapping[str, Sequence[float]], after: Mapping[str, Sequence[float]], *, seed: int = 0, draws: int = _DRAWS
) -> Estimate:
    """Mean over questions of (after - before), resampling questions, so that each is its own control.

    Only questions present on both sides count.

    Raises:
        UserError: the two sides share no question.
    """
    shared = [k for k in before if len(before[k]) and len(after.get(k, ()))]
    if not shared:
        raise UserError("the two sides share no question", field="after", allowed="samples of the same questions")
    deltas = np.array([np.mean(after[k]) - np.mean(before[k]) for k in shared])
    picks = np.random.default_rng(seed).integers(0, len(deltas), size=(draws, len(deltas)))
    n = sum(len(before[k]) + len(after[k]) for k in shared)
    return _estimate(float(deltas.mean()), deltas[picks].mean(axis=1), n, len(shared))


def _estimate(mean: float, drawn: NDArray[np.float64], n: int, clusters: int) -> Estimate:
    low, high = np.percentile(drawn, [2.5, 97.5])
    return Estimate(mean=mean, low=float(low), high=float(high), n=n, clusters=clusters)
