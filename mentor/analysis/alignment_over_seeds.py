"""The alignment score of a way of training: one teacher, several seeds' students, the same questions.

The score itself, its noise floor and its interval over questions are those of ``mentor.analysis.alignment`` with all seeds'
trajectories pooled. What seeds add, and differences of two ways of training, come from the score's first-order terms (its
influence function, Hampel 1974), which ``mentor.analysis.crossed`` treats as it treats those of any mean.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mentor.analysis.alignment import AlignmentScore, CallsByQuestion, Counts, alignment
from mentor.analysis.clusters import Array
from mentor.analysis.crossed import CrossedDifference, difference_of
from mentor.analysis.scatter import scatter_of, t_quantile
from mentor.errors import UserError

CallsBySeed = Mapping[int, CallsByQuestion]
"""By seed, by question id: the calls by tool of each trajectory."""
_DRAWS = 400
_LEAST_DISTANCE = 1e-3
"""The square root has no slope at 0; below this distance a difference cannot be told, and its interval says so by its width."""


class SeededAlignment(AlignmentScore):
    """As an alignment score; ``interval`` is over seeds and questions together, over questions alone with one seed."""

    seeds: int


@dataclass(frozen=True)
class _Linear:
    """A score and its first-order terms, shape (seeds, questions)."""

    score: float
    terms: Array


def alignment_over_seeds(
    teacher: CallsByQuestion, students: CallsBySeed, *, seed: int = 0, draws: int = _DRAWS
) -> SeededAlignment:
    """Score several seeds' students together.

    Raises:
        UserError: they share no question with the teacher.
    """
    found = alignment(teacher, _pooled(students), seed=seed, draws=draws)
    low, high = found.interval
    if len(students) > 1:
        names = _shared(teacher, students)
        linear = _linear(teacher, students, names)
        reach = t_quantile(len(students) - 1, 0.975) * math.sqrt(scatter_of(linear.terms).seeds)
        low = found.alignment_score - math.hypot(reach, max(0.0, found.alignment_score - low))
        high = found.alignment_score + math.hypot(reach, max(0.0, high - found.alignment_score))
    interval = (max(0.0, low), min(1.0, high))
    return SeededAlignment(**(found.model_dump() | {"interval": interval}), seeds=len(students))


def alignment_difference(teacher: CallsByQuestion, left: CallsBySeed, right: CallsBySeed) -> CrossedDifference:
    """The left students' score minus the right ones', paired by seed and question.

    Raises:
        UserError: they share no seed, or no question with the teacher.
    """
    seeds = [seed for seed in left if seed in right]
    sides = [{seed: side[seed] for seed in seeds} for side in (left, right)]
    names = [name for name in _shared(teacher, sides[0]) if name in set(_shared(teacher, sides[1]))]
    if not seeds or not names:
        raise UserError("the two sides share no question", field="right", allowed="answers of the same seeds")
    one, two = (_linear(teacher, side, names) for side in sides)
    n = sum(len(calls.get(name, ())) for side in sides for calls in side.values() for name in names)
    return difference_of(one.score - two.score, scatter_of(one.terms - two.terms), one.terms.shape, n, 1.0)


def plain_score(teacher: CallsByQuestion, student: CallsByQuestion) -> float | None:
    """The score alone, of one student; None where the two share no question."""
    names = _shared(teacher, {0: student})
    return _linear(teacher, {0: student}, names).score if names else None


def _shared(teacher: CallsByQuestion, students: CallsBySeed) -> list[str]:
    answered = {name for calls in students.values() for name, rows in calls.items() if rows}
    return sorted(name for name in answered if teacher.get(name))


def _pooled(students: CallsBySeed) -> dict[str, list[Counts]]:
    found: dict[str, list[Counts]] = {}
    for calls in students.values():
        for name, rows in calls.items():
            found.setdefault(name, []).extend(rows)
    return found


def _linear(teacher: CallsByQuestion, students: CallsBySeed, names: Sequence[str]) -> _Linear:
    tools = sorted({t for side in (teacher, *students.values()) for n in names for row in side.get(n, ()) for t in row})
    theirs = _counts(teacher, names, tools)
    ours = np.stack([_counts(calls, names, tools) for calls in students.values()])
    p, q = theirs.sum(axis=0), ours.sum(axis=(0, 1))
    if not p.sum() or not q.sum():
        score = float(p.sum() == q.sum())  # two that call nothing agree; one that calls nothing agrees with no other
        return _Linear(score, np.zeros(ours.shape[:2]))
    p, q = p / p.sum(), q / q.sum()
    distance = math.sqrt(max(0.0, (_slopes(p, q) @ p + _slopes(q, p) @ q)))
    down = -0.5 / max(distance, _LEAST_DISTANCE)
    terms = down * (_terms(ours, q, _slopes(q, p)) + _terms(theirs, p, _slopes(p, q))[None, :])
    return _Linear(1 - distance, terms)


def _slopes(p: Array, q: Array) -> Array:
    """Of the Jensen-Shannon divergence (base 2) by ``p``, up to a constant: half the logarithm of p over the middle.

    The divergence itself is the sum of both sides' probabilities times their slopes.
    """
    found = np.zeros_like(p)
    some = p > 0
    found[some] = 0.5 * np.log2(2 * p[some] / (p[some] + q[some]))
    return found


def _terms(counts: Array, shares: Array, slopes: Array) -> Array:
    """What each cell's calls add to the error of the divergence, times the number of cells: (..., tools) -> (...)."""
    calls = counts.sum(axis=-1)
    found: Array = (counts @ slopes - calls * float(shares @ slopes)) / calls.mean()
    return found


def _counts(side: CallsByQuestion, names: Sequence[str], tools: Sequence[str]) -> Array:
    """Calls by question and tool: (questions, tools)."""
    place = {tool: number for number, tool in enumerate(tools)}
    found = np.zeros((len(names), len(tools)))
    for row, name in enumerate(names):
        for counts in side.get(name, ()):
            for tool, number in counts.items():
                found[row, place[tool]] += number
    return found
