"""How figures look: two themes, colours that colour-blind readers tell apart, each with a marker for grey printers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mentor.analysis.intervals import Estimate
from mentor.data import atomic_path

DPI = 200
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
_FONT = 9


@dataclass(frozen=True)
class Theme:
    """Colours: ``ink`` for text, ``faint`` for grids, ``series`` for models in their order (Okabe and Ito's, tuned to the
    ground)."""

    name: str
    ground: str
    ink: str
    faint: str
    series: tuple[str, ...]


THEMES = (
    Theme("light", "#ffffff", "#1f2328", "#d8dee4",
          ("#0072b2", "#d55e00", "#009e73", "#aa4499", "#8a6d00", "#56b4e9", "#555555", "#b2182b")),
    Theme("dark", "#11151a", "#e6edf3", "#39424d",
          ("#56b4e9", "#ff9e4a", "#3ddc97", "#e58fd0", "#f0e442", "#a5c8ff", "#b8c0c8", "#ff7b86")),
)  # fmt: skip
Draw = Callable[[Any, Theme], None]
"""Draws on a matplotlib figure that has been given its ground."""


def write_figure(draw: Draw, size: tuple[float, float], folder: Path, name: str) -> list[Path]:
    """Both themes, as SVG (text stays text) and PNG. ``size`` in inches."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    written = []
    for theme in THEMES:
        with mpl.rc_context(_settings(theme)):
            figure = Figure(figsize=size, layout="constrained")
            draw(figure, theme)
            for suffix in ("svg", "png"):
                path = folder / f"{name}-{theme.name}.{suffix}"
                with atomic_path(path) as temporary:
                    figure.savefig(
                        temporary, format=suffix, dpi=DPI, metadata={"Date": None} if suffix == "svg" else None
                    )
                written.append(path)
    return written


def _settings(theme: Theme) -> dict[str, Any]:
    return {
        "figure.facecolor": theme.ground, "savefig.facecolor": theme.ground, "axes.facecolor": theme.ground,
        "text.color": theme.ink, "axes.labelcolor": theme.ink, "axes.edgecolor": theme.faint, "axes.titlesize": _FONT + 1,
        "xtick.color": theme.ink, "ytick.color": theme.ink, "axes.titlecolor": theme.ink, "font.size": _FONT,
        "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.color": theme.faint,
        "grid.linewidth": 0.6, "axes.axisbelow": True, "legend.frameon": False, "svg.fonttype": "none",
        "svg.hashsalt": "mentor", "legend.labelcolor": theme.ink, "text.parse_math": False,  # a dollar in a name is a dollar
    }  # fmt: skip


def style(theme: Theme, place: int) -> dict[str, Any]:
    """Colour and marker of the series at a place; with more series than colours the markers still differ."""
    count = len(theme.series)
    return {"color": theme.series[place % count], "marker": MARKERS[(place + place // count) % len(MARKERS)]}


def with_interval(
    axes: Any, at: float, estimate: Estimate, scale: float = 100.0, *, sideways: bool = False, **look: Any
) -> None:
    """A point with its interval: at ``x = at``, or lying at ``y = at``."""
    value = scale * estimate.mean
    reach = [[max(0.0, value - scale * estimate.low)], [max(0.0, scale * estimate.high - value)]]
    place: dict[str, Any] = {"x": value, "y": at, "xerr": reach} if sideways else {"x": at, "y": value, "yerr": reach}
    axes.errorbar(**place, **({"linestyle": "none", "markersize": 5, "elinewidth": 1.4, "capsize": 2.5} | look))


def shown(text: str, longest: int = 32) -> str:
    """Somebody's text as a label: one line, printable, not too long; a leading underscore would hide it from legends."""
    plain = " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())
    plain = plain if len(plain) <= longest else f"{plain[: longest - 1]}…"
    return f" {plain}" if plain.startswith("_") else plain


def legend_below(figure: Any, axes: Any, columns: int) -> None:
    """One legend for the figure, under it."""
    handles, labels = axes.get_legend_handles_labels()
    unique = dict(zip(labels, handles, strict=True))
    if unique:
        figure.legend(unique.values(), unique.keys(), loc="outside lower center", ncols=min(columns, len(unique)))


def offsets(count: int, width: float = 0.6) -> Sequence[float]:
    """Places of ``count`` series side by side around 0."""
    return [0.0] if count == 1 else [width * (n / (count - 1) - 0.5) for n in range(count)]
