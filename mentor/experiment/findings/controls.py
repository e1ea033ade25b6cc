"""What asking an untrained student more often buys: majority votes and best-of-n over generated tokens.

A trained student writes fewer tokens for the same accuracy than the student as it was with a vote, or it does not. Draws of
an untrained student under several seeds are further samples of one model, and are pooled. Best-of-n picks a right sample
wherever there is one (pass@n): an oracle that nobody can run, and so a bound. Tokens of training stand beside, not added.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mentor.analysis.intervals import Estimate
from mentor.analysis.pass_at_k import pass_at_k
from mentor.analysis.shares import share
from mentor.analysis.votes import classes, majority_at_k
from mentor.experiment.findings.results import SAMPLED, Results, Where
from mentor.experiment.records import Draw
from mentor.grading.equivalence import decided

_SIZES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)
_CHOICES = 100
"""Choices of n samples a question: the mean over questions averages what so few leave open."""


@dataclass(frozen=True)
class Budget:
    """Accuracy at ``n`` samples a question. ``tokens``: generated ones a question, all n samples together."""

    n: int
    tokens: float
    majority: Estimate
    best: Estimate


def budgets(results: Results, method: str, where: Where) -> list[Budget]:
    """By number of samples, as far as every question has so many; empty where nothing was sampled."""
    draws = _pooled(results, method, where)
    most = min(map(len, draws.values()), default=0)
    votes = {name: _votes(rows) for name, rows in draws.items()}
    written = [draw.tokens for rows in draws.values() for draw in rows]
    sizes = sorted({n for n in _SIZES if n <= most} | ({most} if most else set()))
    return [
        Budget(
            n=n,
            tokens=n * sum(written) / len(written),
            majority=share({name: [_majority(votes[name], rows, n)] for name, rows in draws.items()}),
            best=share({name: [pass_at_k(len(rows), sum(d.correct for d in rows), n)] for name, rows in draws.items()}),
        )
        for n in sizes
    ]


def at_tokens(curve: Sequence[Budget], tokens: float) -> Budget | None:
    """The least number of samples that writes at least so many tokens, to the control's favour; None where none does."""
    return next((point for point in curve if point.tokens >= tokens), None)


def _pooled(results: Results, method: str, where: Where) -> dict[str, list[Draw]]:
    found: dict[str, list[Draw]] = {}
    for world in where.worlds:
        for student in where.students:
            for run in results.seeds(world, student, method).values():
                for question, draws in run.within(SAMPLED, where).items():
                    found.setdefault(f"{world}/{student}/{question}", []).extend(draws)
    return found


def _majority(votes: Sequence[int | None], rows: Sequence[Draw], n: int) -> float:
    return majority_at_k(votes, [float(draw.correct) for draw in rows], n, exact=_CHOICES, draws=_CHOICES)


def _votes(rows: Sequence[Draw]) -> list[int | None]:
    """Classes of equal answers. Right ones are equal to each other and to no wrong one, as the judge has said."""

    def same(a: int, b: int) -> bool:
        if rows[a].correct or rows[b].correct:
            return rows[a].correct and rows[b].correct
        return decided(rows[a].answer or "", rows[b].answer or "") is True

    return classes([draw.answer for draw in rows], same)


def training_tokens(results: Results, method: str, where: Where) -> Mapping[str, float]:
    """Generated tokens by what they were spent on, the mean over runs."""
    rows = [
        run.record.tokens
        for world in where.worlds
        for student in where.students
        for run in results.seeds(world, student, method).values()
    ]
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: sum(row.get(name, 0.0) for row in rows) / len(rows) for name in names}
