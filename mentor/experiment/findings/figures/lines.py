"""Training over steps and over generated tokens: figures 6 and 7, and dense against sparse rewards at equal tokens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from mentor.drawing import Draw, Theme, legend_below, shown, style
from mentor.experiment.findings.curves import Curve, over_steps, over_tokens
from mentor.experiment.findings.measured import Measured

Made = tuple[str, str, tuple[float, float], Draw]
Panel = tuple[str, str, dict[str, Curve]]
"""Title, label of the horizontal axis, curves by method."""
_DASHES = ("-", "--", ":", "-.")
_BAND = "Means over seeds, smoothed over a 25th of the steps, with 95% bands over seeds at every point for itself."
_NAMES = {
    "reward": "reward", "correctness": "right answers in training", "entropy": "entropy", "invalid_rate": "invalid calls",
    "validation": "validation: no failing call",
}  # fmt: skip


def invalid(found: Measured) -> Made | None:
    """Figure 6."""
    panel = _panel(found, "invalid_rate", over_steps, "step")
    caption = f"Share of calls that fail while training, by way of training. {_BAND}"
    return _made("Figure 6: invalid calls over training", caption, [panel] if panel else [], found)


def training(found: Measured) -> Made | None:
    """Figure 7."""
    panels = [p for m in ("reward", "correctness", "entropy") if (p := _panel(found, m, over_steps, "step"))]
    caption = (
        "Reward, right answers and entropy of the policy over training. Rewards of different presets have different scales. "
        f"{_BAND}"
    )
    return _made("Figure 7: training", caption, panels, found)


def at_equal_tokens(found: Measured) -> Made | None:
    """The same progress over steps and over what it cost."""
    panels = [
        panel
        for metric in ("correctness", "validation")
        for over, axis in ((over_steps, "step"), (over_tokens, "tokens generated in training, millions"))
        if (panel := _panel(found, metric, over, axis))
    ]
    caption = f"Ways of training at equal steps and at equal generated tokens. {_BAND}"
    return _made("Training at equal steps and at equal tokens", caption, panels, found)


def _panel(found: Measured, metric: str, over: Callable[..., Curve | None], axis: str) -> Panel | None:
    curves = {m: curve for m in found.methods if (curve := over(found.results, found.pair, m, metric))}
    return (_NAMES[metric], axis, curves) if curves else None


def _made(title: str, caption: str, panels: Sequence[Panel], found: Measured) -> Made | None:
    if not panels:
        return None
    across = 2 if len(panels) == 4 else len(panels)
    down = len(panels) // across
    lines = len({method for _, _, curves in panels for method in curves})
    size = (max(6.0, 3.2 * across), 2.7 * down + 0.2 * (1 + lines // 3))
    return title, caption, size, lambda figure, theme: _lines(figure, theme, panels, found, (down, across))


def _lines(figure: Any, theme: Theme, panels: Sequence[Panel], found: Measured, shape: tuple[int, int]) -> None:
    every = figure.subplots(*shape, squeeze=False).flatten()
    drawn = list(dict.fromkeys(m for _, _, curves in panels for m in curves))
    for axes, (title, axis, curves) in zip(every, panels, strict=True):
        for method, curve in curves.items():
            place = drawn.index(method)
            colour = style(theme, place)["color"]
            x = curve.x / 1e6 if "millions" in axis else curve.x
            dashes = _DASHES[place // len(theme.series) % len(_DASHES)]
            axes.plot(x, curve.mean, color=colour, linestyle=dashes, linewidth=1.5, label=shown(found.label(method)))
            axes.fill_between(x, curve.low, curve.high, color=colour, alpha=0.12, linewidth=0)
        axes.set_title(title, loc="left")
        axes.set_xlabel(axis)
    legend_below(figure, every[0], 3)
