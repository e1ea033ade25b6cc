"""Figures as text of tables: means with intervals, differences with signs."""

from __future__ import annotations

from mentor.analysis.alignment_over_seeds import SeededAlignment
from mentor.analysis.crossed import CrossedDifference
from mentor.analysis.intervals import Estimate
from mentor.tabular import NONE


def interval(estimate: Estimate | None, scale: float = 100.0, digits: int = 1) -> str:
    """``mean [low, high]``."""
    if estimate is None:
        return NONE
    mean, low, high = (scale * x for x in (estimate.mean, estimate.low, estimate.high))
    return f"{mean:,.{digits}f} [{low:,.{digits}f}, {high:,.{digits}f}]"


def signed(difference: CrossedDifference | None, scale: float = 100.0, digits: int = 1) -> str:
    """``+mean [low, high]*``: a star where the interval leaves out 0."""
    if difference is None:
        return NONE
    mean, low, high = (scale * x for x in (difference.mean, difference.low, difference.high))
    star = "*" if difference.p < 0.05 else ""
    return f"{mean:+,.{digits}f} [{low:+,.{digits}f}, {high:+,.{digits}f}]{star}"


def aligned(score: SeededAlignment | None) -> str:
    """A score with its interval."""
    if score is None:
        return NONE
    return f"{score.alignment_score:.3f} [{score.interval[0]:.3f}, {score.interval[1]:.3f}]"


def number(value: float | None, digits: int = 3) -> str:
    """Or nothing."""
    return NONE if value is None else f"{value:,.{digits}f}"


def p_value(value: float | None) -> str:
    """Three digits, or that it is smaller."""
    if value is None:
        return NONE
    return "<0.001" if value < 0.001 else f"{value:.3f}"
