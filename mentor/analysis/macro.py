"""Macro averages: unweighted means of several suites' estimates, with intervals.

Suites share no question, so their errors are independent, as if questions were resampled within each. The intervals are
combined by the method of variance estimates recovery (MOVER; Zou and Donner 2008), which keeps what each suite's own interval
knows at 0 and at 1; resampling would give a suite without a right answer no error at all.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist

from mentor.analysis.intervals import Estimate
from mentor.analysis.shares import exact_interval
from mentor.errors import UserError

_Z = NormalDist().inv_cdf(0.975)


def macro_share(estimates: Sequence[Estimate]) -> Estimate:
    """As ``macro_average``, for shares: at least as wide as the exact interval at the effective number of samples that the
    suites' own intervals leave. MOVER alone is too narrow below where every suite is near 0 (its least coverage was 92%).

    Raises:
        UserError: there is none.
    """
    found = macro_average(estimates)
    error = math.sqrt(math.fsum(((e.high - e.low) / 2) ** 2 for e in estimates)) / (_Z * len(estimates))
    if not 0 < found.mean < 1 or not error:
        return found
    low, high = exact_interval(found.mean, found.mean * (1 - found.mean) / error**2)
    return found.model_copy(update={"low": min(low, found.low), "high": max(high, found.high)})


def macro_average(estimates: Sequence[Estimate]) -> Estimate:
    """The mean of the means; ``n`` and ``clusters`` are sums.

    Raises:
        UserError: there is none.
    """
    if not estimates:
        raise UserError("no suite to average", field="estimates", allowed="at least one")
    count = len(estimates)
    mean = math.fsum(e.mean for e in estimates) / count
    down = math.sqrt(math.fsum((e.mean - e.low) ** 2 for e in estimates)) / count
    up = math.sqrt(math.fsum((e.high - e.mean) ** 2 for e in estimates)) / count
    return Estimate(
        mean=mean, low=mean - down, high=mean + up, n=sum(e.n for e in estimates), clusters=sum(e.clusters for e in estimates)
    )  # fmt: skip
