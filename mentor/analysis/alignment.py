"""Alignment score: how close the student's distribution over tools is to the teacher's (paper, Eq. 8)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from mentor.errors import UserError
from mentor.trajectory import Frozen, Trajectory

Counts = Mapping[str, int]
_DRAWS = 2000


class AlignmentScore(Frozen):
    """``alignment_score`` = 1 - sqrt(JSD(P, Q)), log base 2: 0 for disjoint tools, 1 for equal distributions.

    ``noise_floor``: the mean score of two samples of these sizes drawn from one and the same distribution (the pooled
    one). A score at or above it cannot be told from perfect. ``interval``: 95% bootstrap over calls, recentred on the
    score: resampling adds noise to both sides and so lowers every drawn score.
    """

    alignment_score: float
    noise_floor: float
    interval: tuple[float, float]


def tool_counts(trajectories: Iterable[Trajectory]) -> Counter[str]:
    """How often each tool was called and ran; infrastructure failures are left out."""
    return Counter(n for t in trajectories if not t.failed for n in t.attempted_names)


def alignment(teacher: Counts, student: Counts, *, seed: int = 0) -> AlignmentScore:
    """Score two tool-call distributions, given as counts by tool name.

    Two empty counts agree (1), one empty count disagrees with any other (0): no noise can be said of either.

    Raises:
        UserError: a count is negative or not an integer.
    """
    for field, counts in (("teacher_counts", teacher), ("student_counts", student)):
        for name, count in counts.items():
            if isinstance(count, bool) or not isinstance(count, int) or count < 0:
                raise UserError(f"{field}.{name} is {count!r}", field=field, allowed="integers of at least 0")
    names = sorted({*teacher, *student})
    p = np.array([teacher.get(n, 0) for n in names], dtype=np.int64)
    q = np.array([student.get(n, 0) for n in names], dtype=np.int64)
    if not p.sum() or not q.sum():
        point = float(p.sum() == q.sum())
        return AlignmentScore(alignment_score=point, noise_floor=1.0, interval=(point, point))
    rng = np.random.default_rng(seed)
    pooled = (p + q) / (p.sum() + q.sum())
    noise = _score(rng.multinomial(p.sum(), pooled, _DRAWS), rng.multinomial(q.sum(), pooled, _DRAWS))
    drawn = _score(rng.multinomial(p.sum(), p / p.sum(), _DRAWS), rng.multinomial(q.sum(), q / q.sum(), _DRAWS))
    score = float(_score(p[None], q[None])[0])
    low, high = np.clip(np.percentile(drawn - drawn.mean() + score, [2.5, 97.5]), 0.0, 1.0)
    return AlignmentScore(
        alignment_score=score,
        noise_floor=float(noise.mean()),
        interval=(float(low), float(high)),
    )


def _score(p: NDArray[np.int64], q: NDArray[np.int64]) -> NDArray[np.float64]:
    """Scores of rows of counts, shape (draws, tools) each -> (draws,)."""
    a = p / p.sum(axis=1, keepdims=True)
    b = q / q.sum(axis=1, keepdims=True)
    middle = (a + b) / 2
    divergence = (_relative_entropy(a, middle) + _relative_entropy(b, middle)) / 2
    scores: NDArray[np.float64] = 1.0 - np.sqrt(np.clip(divergence, 0.0, 1.0))
    return scores


def _relative_entropy(a: NDArray[np.float64], middle: NDArray[np.float64]) -> NDArray[np.float64]:
    terms = np.zeros_like(a)
    present = a > 0
    terms[present] = a[present] * np.log2(a[present] / middle[present])
    summed: NDArray[np.float64] = terms.sum(axis=1)
    return summed
