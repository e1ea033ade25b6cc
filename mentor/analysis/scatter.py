"""How far the mean of a table, seeds by questions, may be from the truth, when both are draws.

The interval adds two squared reaches, each with the t quantile of its own degrees of freedom: MS_seeds with those of the
seeds, and (MS_questions - MS_rest) with those of the questions (variance estimates recovery, Zou and Donner 2008; one pooled
t at Satterthwaite's degrees of freedom, the quasi-F of Clark 1973, holds the truth in 90% with three seeds). It is never
narrower than over questions alone. Resampling both factors (the pigeonhole bootstrap, Owen 2007) is right with many of each;
three to five seeds show (S - 1) / S of their variance, and percentiles know no Student's t. Coverages: docs/statistics.md.
"""

from __future__ import annotations

import math

from mentor.analysis.clusters import Array
from mentor.analysis.means import standard_error
from mentor.trajectory import Frozen

_EDGE = 1e-12
_HALVINGS = 60


class Scatter(Frozen):
    """Variances of a grand mean. ``seeds`` and ``questions``: each as if it were the only factor; ``apart``: what questions
    bring beyond the rest, which the seeds' part holds already. ``freedom``: degrees of freedom, of seeds (0: one seed) and
    questions."""

    seeds: float
    questions: float
    apart: float
    freedom: tuple[int, int]

    @property
    def variance(self) -> float:
        """Of the mean."""
        return max(self.seeds + self.apart, self.questions)

    @property
    def seed_share(self) -> float:
        """The part of the variance that more questions would not take away, between 0 and 1."""
        return 1 - self.questions / self.variance if self.variance > _EDGE else 0.0

    def reach(self, level: float) -> float:
        """How far the mean's error reaches at a one-sided level: 0.975 gives half of the 95% interval."""
        by_question = t_quantile(self.freedom[1], level) * math.sqrt(self.questions)
        if not self.freedom[0]:
            return by_question
        by_seed = t_quantile(self.freedom[0], level) * math.sqrt(self.seeds)
        return max(by_question, math.hypot(by_seed, t_quantile(self.freedom[1], level) * math.sqrt(self.apart)))

    def p(self, mean: float) -> float:
        """Two-sided p-value of the mean's being 0: 1 - the level at which its interval ends there."""
        if not self.variance:
            return float(mean == 0)
        low, high = -40.0, 0.0  # of the p-value's logarithm: its interval is wider below
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            low, high = (low, middle) if self.reach(1 - math.exp(middle) / 2) < abs(mean) else (middle, high)
        return math.exp(high)


def scatter_of(terms: Array, step: float = 0.0) -> Scatter:
    """The scatter of a mean from its first-order terms, shape (seeds, questions), whose mean is 0.

    ``step`` adds two made-up questions, one step to each side (Bonett and Price 2012), so that agreement is no certainty.
    """
    seeds, questions = terms.shape
    by_seed, by_question = terms.mean(axis=1), terms.mean(axis=0)
    over_questions = standard_error(by_question, step) ** 2
    freedom = max(1, questions - 1)
    if seeds < 2:
        return Scatter(seeds=0.0, questions=over_questions, apart=over_questions, freedom=(0, freedom))
    rest = terms - by_seed[:, None] - by_question[None, :]
    both = float((rest**2).sum()) / (freedom * (seeds - 1) * seeds * questions)
    return Scatter(
        seeds=float((by_seed**2).sum()) / (seeds * (seeds - 1)), questions=over_questions,
        apart=max(0.0, over_questions - both), freedom=(seeds - 1, freedom),
    )  # fmt: skip


def t_quantile(freedom: float, level: float) -> float:
    """Of Student's t, exact for the one or two degrees of freedom that a few seeds leave."""
    from scipy.special import stdtrit

    return float(stdtrit(freedom, level))
