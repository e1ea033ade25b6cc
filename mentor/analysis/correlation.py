"""Correlation of two figures over runs, of which those of one kind (a method's seeds) resemble one another."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np

from mentor.analysis.clusters import Array
from mentor.trajectory import Frozen

_DRAWS = 2000
_LEAST = 4
"""Clusters below which resampling them says nothing."""


class Correlation(Frozen):
    """Pearson's r. ``low`` and ``high``: 95%, resampling whole clusters; None with fewer than four. ``n`` counts points."""

    r: float
    low: float | None
    high: float | None
    n: int
    clusters: int


def correlation(
    x: Sequence[float], y: Sequence[float], clusters: Sequence[Hashable], *, seed: int = 0
) -> Correlation | None:
    """None where there are fewer than three points or one side does not vary."""
    points = np.array([x, y], dtype=float)
    if points.shape[1] < 3 or np.ptp(points, axis=1).min() <= 0:
        return None
    names = list(dict.fromkeys(clusters))
    members = [np.flatnonzero([one == name for one in clusters]) for name in names]
    low = high = None
    if len(names) >= _LEAST:
        drawn = _drawn(points, members, np.random.default_rng(seed))
        low, high = (float(v) for v in np.percentile(drawn, (2.5, 97.5))) if len(drawn) else (None, None)
    return Correlation(r=_pearson(points), low=low, high=high, n=points.shape[1], clusters=len(names))


def _drawn(points: Array, members: Sequence[np.ndarray], rng: np.random.Generator) -> list[float]:
    """Correlations of resampled clusters; samples in which a side does not vary have none."""
    found = []
    for _ in range(_DRAWS):
        picked = points[:, np.concatenate([members[i] for i in rng.integers(0, len(members), len(members))])]
        if np.ptp(picked, axis=1).min() > 0:
            found.append(_pearson(picked))
    return found


def _pearson(points: Array) -> float:
    return float(np.asarray(np.corrcoef(points))[0, 1])
