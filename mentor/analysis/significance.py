"""Whether two models differ on the same questions: McNemar's test and its extension to several samples, Holm, power."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Literal

import numpy as np

from mentor.analysis.clusters import Values
from mentor.analysis.means import paired, standard_error
from mentor.trajectory import Frozen

FEW = 25
"""McNemar's test is exact below so many questions that changed sides."""
_ENUMERATED = 14
_FLIPS = 20_000
_BLOCK = 500
Method = Literal["exact binomial", "chi-square with continuity correction", "sign flips"]


class PairedTest(Frozen):
    """A two-sided test that neither side is better.

    ``better``, ``worse``: questions on which ``after`` has more and fewer right answers than ``before``. With one sample a
    side it is McNemar's test; with several, the signs of the questions' differences are flipped: all ways of it up to 14
    that differ, else 20,000 at random.
    """

    better: int
    worse: int
    p: float
    method: Method


def paired_test(before: Values, after: Values, *, seed: int = 0) -> PairedTest:
    """Test two sides on the questions that they share.

    Raises:
        UserError: they share none.
    """
    deltas, samples = paired(before, after)
    better, worse = int((deltas > 0).sum()), int((deltas < 0).sum())
    if samples == 1 and bool(np.isin(deltas, (-1.0, 0.0, 1.0)).all()):
        p, method = mcnemar(better, worse)
    else:
        p, method = sign_flip_p(deltas[deltas != 0], seed), "sign flips"
    return PairedTest(better=better, worse=worse, p=p, method=method)


def mcnemar(better: int, worse: int) -> tuple[float, Method]:
    """The p-value from the numbers of questions that changed sides."""
    from scipy.special import bdtr, chdtrc

    changed = better + worse
    if changed < FEW:
        p = min(1.0, 2 * float(bdtr(min(better, worse), changed, 0.5))) if changed else 1.0
        return p, "exact binomial"
    statistic = max(0.0, abs(better - worse) - 1.0) ** 2 / changed
    return float(chdtrc(1, statistic)), "chi-square with continuity correction"


def sign_flip_p(deltas: np.ndarray, seed: int) -> float:
    """Two-sided p-value of a mean of 0 for differences whose signs are exchangeable; 1 where none differs."""
    n = len(deltas)
    if not n:
        return 1.0
    seen = abs(float(deltas.sum())) - 1e-9
    if n <= _ENUMERATED:
        signs = np.array(list(product((-1.0, 1.0), repeat=n)))
        return float((np.abs(signs @ deltas) >= seen).mean())
    rng = np.random.default_rng(seed)
    blocks = (rng.integers(0, 2, (_BLOCK, n)) * 2.0 - 1.0 for _ in range(_FLIPS // _BLOCK))
    hits = sum(int((np.abs(signs @ deltas) >= seen).sum()) for signs in blocks)
    return (1 + hits) / (1 + _FLIPS)


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """P-values adjusted for being several, after Holm (1979), under the names they came with."""
    adjusted, most = {}, 0.0
    ordered = sorted(p_values, key=lambda name: p_values[name])
    for place, name in enumerate(ordered):
        most = max(most, min(1.0, (len(ordered) - place) * p_values[name]))
        adjusted[name] = most
    return {name: adjusted[name] for name in p_values}


def minimum_detectable(before: Values, after: Values, *, power: float = 0.8, level: float = 0.05) -> float:
    """The true difference that a comparison with as many questions and this scatter would find with the given power.

    Raises:
        UserError: the sides share no question.
    """
    from scipy.special import stdtrit

    deltas, samples = paired(before, after)
    freedom = max(1, len(deltas) - 1)
    quantiles: Sequence[float] = (float(stdtrit(freedom, 1 - level / 2)), float(stdtrit(freedom, power)))
    return min(1.0, sum(quantiles) * standard_error(deltas, float(1 / np.sqrt(samples))))
