"""Shares (accuracy, pass@k, invalid rate) with an interval that is honest at 0, at 1 and with few questions.

Korn and Graubard's interval for clustered proportions (Survey Methodology 24, 1998): Clopper and Pearson's exact one at the
effective number of samples, which is what the scatter between questions leaves of the real number. Where nothing scatters
(0 of 10) the samples of a question count as one, so that 0 of 10 is [0, 0.31] and never [0, 0].
"""

from __future__ import annotations

from statistics import NormalDist

from mentor.analysis.clusters import Clusters, Ratios, Values, clusters_of, ratio_of
from mentor.analysis.intervals import Estimate

_TAIL = 0.025
_Z = NormalDist().inv_cdf(1 - _TAIL)
_EDGE = 1e-12


def share(values: Values) -> Estimate:
    """The mean of values between 0 and 1 over all samples, with its 95% interval.

    Raises:
        UserError: there is no sample at all.
    """
    return share_of(clusters_of(values))


def share_ratio(ratios: Ratios) -> Estimate:
    """A share whose denominators differ from question to question (failed calls of calls); raises as ``share``."""
    return share_of(ratio_of(ratios))


def share_of(clusters: Clusters) -> Estimate:
    """The estimate of a ratio between 0 and 1."""
    mean = min(1.0, max(0.0, clusters.mean))
    low, high = exact_interval(mean, effective_samples(clusters))
    return Estimate(mean=mean, low=low, high=high, n=round(clusters.total), clusters=clusters.number)


def effective_samples(clusters: Clusters) -> float:
    """As how many independent samples those at hand count, taken down by Student's t for few questions; at most all."""
    from scipy.special import stdtrit

    mean, variance = clusters.mean, clusters.variance
    if variance <= _EDGE or not 0 < mean < 1:
        return float(clusters.number)
    fewer = (_Z / float(stdtrit(clusters.number - 1, 1 - _TAIL))) ** 2
    return min(clusters.total, fewer * mean * (1 - mean) / variance)


def exact_interval(mean: float, n: float) -> tuple[float, float]:
    """Clopper and Pearson's 95% interval of a proportion; ``n`` may be a fraction."""
    from scipy.special import betaincinv

    right, wrong = mean * n, (1 - mean) * n
    low = float(betaincinv(right, wrong + 1, _TAIL)) if right > _EDGE else 0.0
    high = float(betaincinv(right + 1, wrong, 1 - _TAIL)) if wrong > _EDGE else 1.0
    return min(low, mean), max(high, mean)


def exact_p(mean: float, n: float, value: float) -> float:
    """The two-sided p-value of a proportion's being ``value``: below 0.05 where ``exact_interval`` leaves it out."""
    from scipy.special import betainc

    right, wrong = mean * n, (1 - mean) * n
    as_few = 1 - float(betainc(right + 1, wrong, value)) if wrong > _EDGE else 1.0
    as_many = float(betainc(right, wrong + 1, value)) if right > _EDGE else 1.0
    return min(1.0, 2 * min(as_few, as_many))
