"""Macro averages: unweighted means of several suites' estimates, with intervals.

Suites share no question, so their errors are independent, as if questions were resampled within each. The intervals are
combined by the method of variance estimates recovery (MOVER; Zou and Donner 2008), which keeps what each suite's own interval
knows at 0 and at 1; resampling would give a suite without a right answer no error at all.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from mentor.analysis.intervals import Estimate
from mentor.errors import UserError


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
