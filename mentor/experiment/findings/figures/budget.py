"""Accuracy over generated tokens a question: votes of students that are not trained, trained ones as points."""

from __future__ import annotations

from typing import Any

from mentor.drawing import Draw, Theme, legend_below, shown, style, with_interval
from mentor.experiment.findings.measured import Measured

Made = tuple[str, str, tuple[float, float], Draw]


def budgets(found: Measured) -> Made | None:
    """None where nothing untrained was sampled."""
    if not found.budgets:
        return None
    caption = (
        "Accuracy over generated tokens a question, with 95% intervals. Lines: students that were not trained, asked 1, 2, ... "
        "times; solid: majority vote, dotted: best of n, which needs an oracle. Points: trained students, one sample. "
        "Tokens of training are not in it; the table of votes states them."
    )
    points = sum(map(found.results.is_trained, found.methods))
    size = (7.0, 3.8 + 0.2 * ((points + 2 * len(found.budgets)) // 3))
    return "Votes: accuracy over tokens of asking", caption, size, lambda figure, theme: _draw(figure, theme, found)


def _draw(figure: Any, theme: Theme, found: Measured) -> None:
    from matplotlib.ticker import FuncFormatter, NullFormatter

    axes = figure.subplots()
    trained = [m for m in found.methods if found.results.is_trained(m)]
    for place, method in enumerate(found.budgets):
        _curve(axes, style(theme, len(trained) + place)["color"], found, method)
    for place, method in enumerate(trained):
        tokens, accuracy = found.estimate("tokens", method), found.estimate("accuracy", method)
        if tokens and accuracy:
            with_interval(axes, tokens.mean, accuracy, label=shown(found.label(method)), **style(theme, place))
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("generated tokens a question")
    axes.set_ylabel("accuracy in %")
    legend_below(figure, axes, 3)


def _curve(axes: Any, colour: str, found: Measured, method: str) -> None:
    points, label = found.budgets[method], shown(found.label(method))
    x = [point.tokens for point in points]
    for name, dashes in (("majority", "-"), ("best", ":")):
        estimates = [getattr(point, name) for point in points]
        axes.plot(
            x, [100 * one.mean for one in estimates], color=colour, linestyle=dashes, marker=".",
            label=f"{label}: {'majority vote' if name == 'majority' else 'best of n'}",
        )  # fmt: skip
        low, high = ([100 * getattr(one, end) for one in estimates] for end in ("low", "high"))
        axes.fill_between(x, low, high, color=colour, alpha=0.1, linewidth=0)
