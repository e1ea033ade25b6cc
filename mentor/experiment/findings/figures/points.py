"""Methods as rows, a panel for each thing that is measured: figure 1 (accuracy by set) and figure 5 (use of tools)."""

from __future__ import annotations

import math
from typing import Any

from mentor.drawing import Draw, Theme, legend_below, shown, with_interval
from mentor.experiment.findings.measured import Measured
from mentor.experiment.findings.measures import MEASURES

Made = tuple[str, str, tuple[float, float], Draw]
_ACROSS = 3
_USE = ("usage_rate", "calls_per_question", "invalid_rate")


def accuracies(found: Measured) -> Made | None:
    """Figure 1."""
    if not any(found.estimate("accuracy", method) for method in found.methods):
        return None
    down = math.ceil(len(found.columns) / _ACROSS)
    caption = (
        "Accuracy by method and set of questions, sampled (filled) and greedy (hollow), with 95% intervals over seeds and "
        "questions together. Overlap does not mean that two methods do not differ: differences are paired, see the verdicts."
    )
    size = (9.0, down * _height(found))
    return "Figure 1: accuracy", caption, size, lambda figure, theme: _accuracies(figure, theme, found)


def use(found: Measured) -> Made | None:
    """Figure 5."""
    if not any(found.estimate("calls_per_question", method) for method in found.methods):
        return None
    caption = (
        "Share of samples that call a tool, calls a question, and share of calls that fail, over all sets, with 95% "
        "intervals over seeds and questions together."
    )
    return "Figure 5: use of tools", caption, (9.0, _height(found)), lambda figure, theme: _use(figure, theme, found)


def _height(found: Measured) -> float:
    return 1.1 + 0.3 * len(found.methods)


def _accuracies(figure: Any, theme: Theme, found: Measured) -> None:
    columns = found.columns
    across = min(_ACROSS, len(columns))
    panels = figure.subplots(math.ceil(len(columns) / across), across, sharey=True, squeeze=False).flatten()
    for axes, column in zip(panels, columns, strict=False):
        for row, method in enumerate(found.methods):
            _pair_of_points(axes, theme, found, method, column, row)
        _rows(axes, found, theme)
        axes.set_title(f"{shown(column)} (n={found.size(column)})", loc="left")
        axes.set_xlabel("accuracy in %")
    for axes in panels[len(columns) :]:
        axes.set_visible(False)
    legend_below(figure, panels[0], 2)


def _pair_of_points(axes: Any, theme: Theme, found: Measured, method: str, column: str, row: int) -> None:
    sampled = found.estimate("accuracy", method, column)
    greedy = found.estimate("greedy_accuracy", method, column)
    colour = theme.series[0] if found.results.is_trained(method) else theme.series[6]
    if sampled:
        with_interval(axes, row - 0.13, sampled, sideways=True, color=colour, marker="o", label="sampled")
    if greedy:
        look: dict[str, Any] = {
            "color": colour,
            "marker": "o",
            "mfc": theme.ground,
            "elinewidth": 0.8,
            "markersize": 4,
            "alpha": 0.9,
        }
        with_interval(axes, row + 0.2, greedy, sideways=True, label="greedy", **look)


def _rows(axes: Any, found: Measured, theme: Theme) -> None:
    axes.set_yticks(range(len(found.methods)), [shown(found.label(m)) for m in found.methods])
    axes.set_ylim(len(found.methods) - 0.4, -0.6)
    axes.grid(False, axis="y")
    for row in range(0, len(found.methods), 2):
        axes.axhspan(row - 0.5, row + 0.5, color=theme.faint, alpha=0.25, linewidth=0, zorder=0)


def _use(figure: Any, theme: Theme, found: Measured) -> None:
    panels = figure.subplots(1, len(_USE), sharey=True)
    for axes, name in zip(panels, _USE, strict=True):
        measure = MEASURES[name]
        for row, method in enumerate(found.methods):
            estimate = found.estimate(name, method)
            if estimate:
                colour = theme.series[0] if found.results.is_trained(method) else theme.series[6]
                with_interval(axes, row, estimate, measure.scale, sideways=True, color=colour, marker="o")
        _rows(axes, found, theme)
        axes.set_title(f"{measure.label}{' in %' if measure.share else ''}", loc="left")
