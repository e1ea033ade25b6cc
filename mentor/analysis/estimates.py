"""What a whole would take, from a few of its parts: totals with Student's t intervals, which say how little a few know."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import mean, stdev

from mentor.analysis.alignment import student_t
from mentor.trajectory import Frozen


class Range(Frozen):
    """A total with its 95% interval; the interval is None where fewer than two parts were seen."""

    total: float
    low: float | None = None
    high: float | None = None

    def __str__(self) -> str:
        interval = "" if self.low is None else f" [{self.low:,.4g}, {self.high:,.4g}]"
        return f"{self.total:,.4g}{interval}"


def scaled(values: Sequence[float], times: int) -> Range:
    """The sum of ``times`` parts of which ``values`` are a sample."""
    middle = mean(values)
    if len(values) < 2:
        return Range(total=middle * times)
    half = student_t(len(values) - 1) * stdev(values) / len(values) ** 0.5
    return Range(total=middle * times, low=max(0.0, middle - half) * times, high=(middle + half) * times)


def shown(found: Range | None) -> str:
    """For a table; ``-`` where nothing is known."""
    return "-" if found is None else str(found)
