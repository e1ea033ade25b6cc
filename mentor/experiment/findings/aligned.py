"""Alignment scores of methods beside the teacher of their world, on the questions that both answered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from mentor.analysis.alignment import CallsByQuestion, Counts
from mentor.analysis.alignment_over_seeds import (
    CallsBySeed,
    SeededAlignment,
    alignment_difference,
    alignment_over_seeds,
)
from mentor.analysis.crossed import CrossedDifference
from mentor.errors import UserError
from mentor.experiment.findings.results import SAMPLED, Results, Where
from mentor.experiment.findings.seeds import matched
from mentor.experiment.spec import TEACHER


def alignment_of(results: Results, method: str, where: Where) -> SeededAlignment | None:
    """The score with its interval and noise floor; None where teacher or method has no draw of these questions."""
    try:
        return alignment_over_seeds(
            together(calls_of(results, TEACHER, where).values()), calls_of(results, method, where)
        )
    except UserError:
        return None


def alignment_gap(results: Results, left: str, right: str, where: Where) -> CrossedDifference | None:
    """The left method's score minus the right one's; None where teacher or a method has no draw of these questions."""
    where = results.common(where, left, right)
    teacher = together(calls_of(results, TEACHER, where).values())
    one, two = (calls_of(results, method, where) for method in (left, right))
    one, two = matched(one, two, (results.is_trained(left), results.is_trained(right)), together)
    try:
        return alignment_difference(teacher, one, two)
    except UserError:
        return None


def tool_shares(results: Results, method: str, where: Where) -> dict[str, float]:
    """Shares of tools among the calls that reached one; empty without calls."""
    total: Counter[str] = Counter()
    for calls in calls_of(results, method, where).values():
        for rows in calls.values():
            for row in rows:
                total.update(row)
    return {tool: number / total.total() for tool, number in total.most_common()} if total else {}


def calls_of(results: Results, method: str, where: Where) -> CallsBySeed:
    """By seed, by world and question: the calls by tool of each sampled draw, those of several students together."""
    students = where.students[:1] if method == TEACHER else where.students
    found: dict[int, dict[str, list[Counter[str]]]] = {}
    for world in where.worlds:
        for student in students:
            for seed, run in results.seeds(world, student, method).items():
                row = found.setdefault(seed, {})
                for question, draws in run.within(SAMPLED, where).items():
                    row.setdefault(f"{world}/{question}", []).extend(Counter(draw.calls) for draw in draws)
    return {seed: row for seed, row in found.items() if row}


def together(seeds: Iterable[CallsByQuestion]) -> CallsByQuestion:
    """Several seeds' trajectories as one's."""
    found: dict[str, list[Counts]] = {}
    for calls in seeds:
        for name, rows in calls.items():
            found.setdefault(name, []).extend(rows)
    return found
