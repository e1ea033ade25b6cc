"""Figure 3: alignment score against accuracy, one point a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mentor.analysis.alignment_over_seeds import plain_score
from mentor.analysis.correlation import Correlation, correlation
from mentor.drawing import Draw, Theme, legend_below, shown, style
from mentor.experiment.findings.aligned import calls_of, together
from mentor.experiment.findings.measured import Measured
from mentor.experiment.findings.results import SAMPLED, Pair, Results
from mentor.experiment.spec import TEACHER

Made = tuple[str, str, tuple[float, float], Draw]


@dataclass(frozen=True)
class Point:
    """A run."""

    pair: Pair
    method: str
    score: float
    accuracy: float


def scores(results: Results, measured: Sequence[Measured]) -> Made | None:
    """None where no run has both."""
    points = [point for one in measured for point in run_points(one)]
    if not points:
        return None
    caption = (
        "Alignment score with the teacher against sampled accuracy, one point a run, over all sets. "
        f"{said(points)} Intervals resample whole methods: seeds of one method are not independent. Correlation over methods "
        "that differ in much else is no cause."
    )
    methods = len({point.method for point in points})
    size = (6.5, 4.0 + 0.2 * (methods // 3))
    return (
        "Figure 3: alignment and accuracy",
        caption,
        size,
        lambda figure, theme: _draw(figure, theme, results, points),
    )


def run_points(found: Measured) -> list[Point]:
    """Every run of students that called tools."""
    where = found.where(found.whole)
    teacher = together(calls_of(found.results, TEACHER, where).values())
    points = []
    for method in found.methods:
        if method == TEACHER:
            continue
        for seed, calls in calls_of(found.results, method, where).items():
            draws = found.results.seeds(*found.pair, method)[seed].within(SAMPLED, where)
            right = [draw.correct for rows in draws.values() for draw in rows]
            score = plain_score(teacher, calls)
            if score is not None and any(row for rows in calls.values() for row in rows):
                points.append(Point(found.pair, method, score, sum(right) / len(right)))
    return points


def said(points: Sequence[Point]) -> str:
    """Correlation over all runs, and within worlds where there are several."""
    kinds = [(point.pair, point.method) for point in points]
    values = np.array([(point.score, point.accuracy) for point in points])
    words = [_words("over all runs", correlation(values[:, 0].tolist(), values[:, 1].tolist(), kinds))]
    pairs = {point.pair for point in points}
    if len(pairs) > 1:
        for pair in pairs:
            rows = [n for n, point in enumerate(points) if point.pair == pair]
            values[rows] -= values[rows].mean(axis=0)
        words.append(_words("within worlds", correlation(values[:, 0].tolist(), values[:, 1].tolist(), kinds)))
    return " ".join(words)


def _words(what: str, found: Correlation | None) -> str:
    if found is None:
        return f"Correlation {what}: none can be given."
    interval = "" if found.low is None else f" [{found.low:.2f}, {found.high:.2f}]"
    return f"Correlation {what}: r = {found.r:.2f}{interval}, {found.n} runs of {found.clusters} methods."


def _draw(figure: Any, theme: Theme, results: Results, points: Sequence[Point]) -> None:
    axes = figure.subplots()
    methods = list(dict.fromkeys(point.method for point in points))
    for place, method in enumerate(methods):
        mine = [point for point in points if point.method == method]
        axes.plot(
            [p.score for p in mine], [100 * p.accuracy for p in mine], linestyle="none", markersize=5.5, alpha=0.85,
            label=shown(results.label(method)), **style(theme, place),
        )  # fmt: skip
    axes.set_xlabel("alignment score with the teacher")
    axes.set_ylabel("accuracy in %, sampled")
    legend_below(figure, axes, 3)
