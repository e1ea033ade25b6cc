"""Alignment score: how close the student's distribution over tools is to the teacher's (paper, Eq. 8).

The score of two samples is biased: noise on either side only ever lowers it. So the score of the counts is published as the
paper defines it, and beside it what corrects for the noise: an interval, the scores that a policy identical to the teacher
would have got from as many trajectories (``noise_floor``), and how often such a policy scores as low.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from mentor.errors import UserError
from mentor.trajectory import Frozen, Trajectory

Counts = Mapping[str, int]
CallsByQuestion = Mapping[str, Sequence[Counts]]
"""By question id: the calls by tool of each of its trajectories."""
Matrix = NDArray[np.int64]
_DRAWS = 1000
_CHUNK = 50
_LEVEL = (2.5, 97.5)
_Z = NormalDist().inv_cdf(0.975)


class AlignmentScore(Frozen):
    """``alignment_score`` = 1 - sqrt(JSD(P, Q)), log base 2: 0 for disjoint tools, 1 for equal distributions.

    ``corrected``: the same with the bootstrap's estimate of the divergence's bias taken off.
    ``interval``: 95%, resampling questions, bias-corrected.
    ``noise_floor``, ``noise_floor_low``: mean and lower 5% quantile of the scores of an identical policy (teacher's and
    student's trajectories exchanged at random within each question).
    ``p_identical``: the probability that an identical policy scores so low.
    ``questions``: those that both sides answered, which alone count; None where only totals were given.
    """

    alignment_score: float
    corrected: float
    interval: tuple[float, float]
    noise_floor: float
    noise_floor_low: float
    p_identical: float
    questions: int | None = None
    teacher_calls: int
    student_calls: int


def tool_counts(trajectories: Iterable[Trajectory]) -> Counter[str]:
    """How often each tool was called and ran; infrastructure failures are left out."""
    return Counter(n for t in trajectories if not t.failed for n in t.attempted_names)


def calls_by_question(trajectories: Iterable[Trajectory]) -> dict[str, list[Counter[str]]]:
    """The calls that ran, trajectory by trajectory; infrastructure failures are left out."""
    found: dict[str, list[Counter[str]]] = {}
    for trajectory in trajectories:
        if not trajectory.failed:
            found.setdefault(trajectory.question_id, []).append(Counter(trajectory.attempted_names))
    return found


def alignment(
    teacher: CallsByQuestion, student: CallsByQuestion, *, seed: int = 0, draws: int = _DRAWS
) -> AlignmentScore:
    """Score the tool calls of two policies on the questions that both have answered.

    Calls of one question are not independent, nor are teacher's and student's on the same question: whole questions are
    resampled, with both sides' trajectories.

    Raises:
        UserError: the two sides share no question, or a count is negative or not an integer.
    """
    shared = sorted(name for name in teacher if teacher[name] and student.get(name))
    if not shared:
        raise UserError(
            "teacher and student share no question", field="student", allowed="answers to the same questions"
        )
    sides = [[trajectory for name in shared for trajectory in side[name]] for side in (teacher, student)]
    tools = _tools(sides)
    calls = [_matrix(side, tools) for side in sides]
    groups = [np.repeat(np.arange(len(shared)), [len(side[name]) for name in shared]) for side in (teacher, student)]
    rng = np.random.default_rng(seed)
    p, q = (_summed(c, g, len(shared)) for c, g in zip(calls, groups, strict=True))
    weights = rng.multinomial(len(shared), np.full(len(shared), 1 / len(shared)), size=draws)
    drawn = _divergence(weights @ p, weights @ q)
    null = _exchanged(np.concatenate(calls), np.concatenate(groups), _teachers(groups), rng, draws)
    return _summary(p.sum(axis=0), q.sum(axis=0), drawn, null, len(shared), len(shared))


def alignment_of_totals(teacher: Counts, student: Counts, *, seed: int = 0) -> AlignmentScore:
    """Score two tool-call distributions of which only totals by tool are known: every call counts as independent.

    Where calls cluster by question the interval is then too narrow; ``alignment`` knows better.

    Raises:
        UserError: a count is negative or not an integer.
    """
    tools = _tools([[teacher], [student]])
    p, q = _matrix([teacher], tools)[0], _matrix([student], tools)[0]
    if not p.sum() or not q.sum():
        nothing = np.full(1, float(p.sum() != q.sum()))
        return _summary(p, q, nothing, np.zeros(1), 0, None)
    rng = np.random.default_rng(seed)
    pooled = (p + q) / (p.sum() + q.sum())
    null = _divergence(rng.multinomial(p.sum(), pooled, _DRAWS), rng.multinomial(q.sum(), pooled, _DRAWS))
    drawn = _divergence(rng.multinomial(p.sum(), p / p.sum(), _DRAWS), rng.multinomial(q.sum(), q / q.sum(), _DRAWS))
    return _summary(p, q, drawn, null, int(min(p.sum(), q.sum())), None)


def _summary(
    p: Matrix, q: Matrix, drawn: NDArray[np.float64], null: NDArray[np.float64], units: int, questions: int | None
) -> AlignmentScore:
    divergence = float(_divergence(p[None], q[None])[0])
    scores = _score(null)
    low, high = _interval(divergence, drawn, units)
    return AlignmentScore(
        alignment_score=float(_score(divergence)),
        corrected=float(_score(2 * divergence - drawn.mean())),
        interval=(float(_score(high)), float(_score(low))),
        noise_floor=float(scores.mean()),
        noise_floor_low=float(np.quantile(scores, 0.05)),
        p_identical=float((1 + (null >= divergence - 1e-12).sum()) / (1 + len(null))),
        questions=questions,
        teacher_calls=int(p.sum()),
        student_calls=int(q.sum()),
    )


def _interval(divergence: float, drawn: NDArray[np.float64], units: int) -> tuple[float, float]:
    """95% of the divergence, before it is cut to its range.

    Two bootstrap intervals, each with the bias taken off (resampling adds as much again as the sample has): the reflected
    one, which holds near equality, and the shifted percentiles, which hold far from it. Their union covers in both
    (``tests/unit/test_alignment_score.py`` simulates it); few questions widen it by Student's t.
    """
    bias = drawn.mean() - divergence
    low, high = np.percentile(drawn, _LEVEL)
    centre = divergence - bias
    lower = min(low - 2 * bias, 2 * divergence - high)
    upper = max(high - 2 * bias, 2 * divergence - low)
    widen = student_t(units - 1) / _Z if units > 1 else 1.0
    return float(centre + widen * (lower - centre)), float(centre + widen * (upper - centre))


def student_t(freedom: int) -> float:
    """The 97.5% quantile of Student's t (Abramowitz and Stegun 26.7.5): within 1% from 3 degrees of freedom on."""
    z, v = _Z, freedom
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
    )
    return float(z + sum(term / v**n for n, term in enumerate(terms, start=1)))


def _exchanged(
    calls: Matrix, groups: Matrix, teachers: NDArray[np.bool_], rng: np.random.Generator, draws: int
) -> NDArray[np.float64]:
    """Divergences after trajectories have changed sides at random within their question, shape (draws,).

    ``teachers`` says, in the order of sorted questions, which places are the teacher's.
    """
    found = []
    for start in range(0, draws, _CHUNK):
        keys = groups + rng.random((min(_CHUNK, draws - start), len(groups)))
        places = np.argsort(keys, axis=1)
        ours = np.zeros(keys.shape, dtype=np.int64)
        np.put_along_axis(ours, places, teachers.astype(np.int64)[None], axis=1)
        p = ours @ calls
        found.append(_divergence(p, calls.sum(axis=0) - p))
    return np.concatenate(found)


def _teachers(groups: Sequence[Matrix]) -> NDArray[np.bool_]:
    """For the trajectories of both sides, sorted by question: whether a place belongs to the teacher."""
    owner = np.repeat([True, False], [len(g) for g in groups])
    return owner[np.argsort(np.concatenate(groups), kind="stable")]


def _tools(sides: Sequence[Sequence[Counts]]) -> list[str]:
    for field, side in zip(("teacher_counts", "student_counts"), sides, strict=True):
        for counts in side:
            for name, count in counts.items():
                if isinstance(count, bool) or not isinstance(count, int) or count < 0:
                    raise UserError(f"{field}.{name} is {count!r}", field=field, allowed="integers of at least 0")
    return sorted({name for side in sides for counts in side for name in counts})


def _matrix(rows: Sequence[Counts], tools: Sequence[str]) -> Matrix:
    """Counts as (rows, tools)."""
    return np.array([[row.get(name, 0) for name in tools] for row in rows], dtype=np.int64).reshape(
        len(rows), len(tools)
    )


def _summed(calls: Matrix, groups: Matrix, number: int) -> Matrix:
    """Counts by question: (trajectories, tools) -> (questions, tools)."""
    total = np.zeros((number, calls.shape[1]), dtype=np.int64)
    np.add.at(total, groups, calls)
    return total


def _score(divergence: float | NDArray[np.float64]) -> NDArray[np.float64]:
    score: NDArray[np.float64] = 1.0 - np.sqrt(np.clip(divergence, 0.0, 1.0))
    return score


def _divergence(p: Matrix, q: Matrix) -> NDArray[np.float64]:
    """Jensen-Shannon divergence, base 2, of rows of counts: (draws, tools) each -> (draws,).

    Two empty rows agree (0), an empty one disagrees with any other (1).
    """
    sizes = p.sum(axis=1, keepdims=True), q.sum(axis=1, keepdims=True)
    a, b = p / np.maximum(1, sizes[0]), q / np.maximum(1, sizes[1])
    middle = (a + b) / 2
    divergence = (_relative_entropy(a, middle) + _relative_entropy(b, middle)) / 2
    empty = (sizes[0] == 0)[:, 0], (sizes[1] == 0)[:, 0]
    divergence[empty[0] | empty[1]] = 1.0
    divergence[empty[0] & empty[1]] = 0.0
    clipped: NDArray[np.float64] = np.clip(divergence, 0.0, 1.0)
    return clipped


def _relative_entropy(a: NDArray[np.float64], middle: NDArray[np.float64]) -> NDArray[np.float64]:
    terms = np.zeros_like(a)
    present = a > 0
    terms[present] = a[present] * np.log2(a[present] / middle[present])
    summed: NDArray[np.float64] = terms.sum(axis=1)
    return summed
