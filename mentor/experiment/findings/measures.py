"""What is measured of a draw, and means and differences of it over seeds and questions."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from mentor.analysis.crossed import (
    Cells,
    CrossedDifference,
    CrossedEstimate,
    amount_over_seeds,
    difference_over_seeds,
    share_over_seeds,
)
from mentor.errors import UserError
from mentor.experiment.findings.results import GREEDY, SAMPLED, Results, Where
from mentor.experiment.findings.seeds import matched
from mentor.experiment.records import Draw
from mentor.experiment.spec import TEACHER

Ratio = Callable[[Draw], tuple[float, float]]
"""What a draw adds to a numerator and to a denominator."""
Row = Mapping[str, tuple[float, float]]
"""One seed's cells."""


@dataclass(frozen=True)
class Measure:
    """``way``: of which evaluation. ``share``: it lies between 0 and 1, and is shown in percent. ``step``: see
    ``difference_over_seeds``."""

    name: str
    label: str
    way: str
    of: Ratio
    share: bool = True
    step: float = 1.0

    @property
    def scale(self) -> float:
        """From its own unit to what is shown."""
        return 100.0 if self.share else 1.0

    @property
    def unit(self) -> str:
        """Of what is shown."""
        return "%" if self.share else ""


def _right(draw: Draw) -> tuple[float, float]:
    return float(draw.correct), 1.0


MEASURES: dict[str, Measure] = {
    measure.name: measure
    for measure in (
        Measure("accuracy", "accuracy, sampled", SAMPLED, _right),
        Measure("greedy_accuracy", "accuracy, greedy", GREEDY, _right),
        Measure("invalid_rate", "invalid calls", SAMPLED, lambda d: (float(sum(not ok for ok in d.ok)), float(len(d.ok)))),
        Measure("usage_rate", "tool usage", SAMPLED, lambda d: (float(bool(d.calls)), 1.0)),
        Measure("calls_per_question", "calls a question", SAMPLED, lambda d: (float(len(d.ok)), 1.0), share=False),
        Measure("tokens_per_answer", "tokens a right answer", SAMPLED, lambda d: (d.tokens, float(d.correct)), share=False,
                step=0.0),
        Measure("tokens", "tokens a question", SAMPLED, lambda d: (d.tokens, 1.0), share=False, step=0.0),
        Measure("greedy_tokens", "tokens a question, greedy", GREEDY, lambda d: (d.tokens, 1.0), share=False, step=0.0),
    )
}  # fmt: skip
"""By name. The alignment score is no ratio of draws: ``aligned``."""


def estimate(results: Results, measure: str, method: str, where: Where) -> CrossedEstimate | None:
    """A measure's mean over seeds and questions; None where nothing was measured."""
    wanted = MEASURES[measure]
    try:
        cells = cells_of(results, wanted, method, where)
        return share_over_seeds(cells) if wanted.share else amount_over_seeds(cells, wanted.step)
    except UserError:  # no run, or none of its draws has a denominator: no calls, no right answer
        return None


def difference(
    results: Results, measure: str, left: str, right: str, where: Where, other: str | None = None
) -> CrossedDifference | None:
    """left - right, paired by seed and question; ``other`` is the right side's measure where it is not the left's."""
    wanted, where = MEASURES[measure], results.common(where, left, right)
    one, two = (
        cells_of(results, MEASURES[name], method, where)
        for name, method in ((measure, left), (other or measure, right))
    )
    one, two = matched(one, two, (results.is_trained(left), results.is_trained(right)), _added)
    try:
        return difference_over_seeds(one, two, bound=1.0 if wanted.share else math.inf, step=wanted.step)
    except UserError:
        return None


def cells_of(results: Results, measure: Measure, method: str, where: Where) -> Cells:
    """Numerators and denominators by seed and question.

    Students of one world answer the same questions: their samples of a question are added up, since they do not vary
    independently. Only seeds that every world and student with runs of the method has count: a seed that lacks one
    would differ from others by what it lacks.
    """
    students = where.students[:1] if method == TEACHER else where.students  # one teacher, whoever learns from it
    parts = [
        {seed: _cells(run.within(measure.way, where), world, measure.of) for seed, run in runs.items()}
        for world in where.worlds
        for student in students
        if (runs := results.seeds(world, student, method))
    ]
    shared = [seed for seed in (parts[0] if parts else ()) if all(part.get(seed) for part in parts)]
    return {seed: _added(part[seed] for part in parts) for seed in shared}


def _cells(draws: dict[str, list[Draw]], world: str, of: Ratio) -> Row:
    found = {}
    for question, kept in draws.items():
        pairs = [of(draw) for draw in kept]
        found[f"{world}/{question}"] = (math.fsum(p[0] for p in pairs), math.fsum(p[1] for p in pairs))
    return found


def _added(rows: Iterable[Row]) -> Row:
    total: dict[str, tuple[float, float]] = {}
    for row in rows:
        for name, (numerator, denominator) in row.items():
            before = total.get(name, (0.0, 0.0))
            total[name] = (before[0] + numerator, before[1] + denominator)
    return total
