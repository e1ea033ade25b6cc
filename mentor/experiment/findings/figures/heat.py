"""Tables with shades: figure 4 (shares of tools) and maps over worlds. Every cell says its number too."""

from __future__ import annotations

from typing import Any

from mentor.drawing import Draw, Theme, shown
from mentor.experiment.findings.maps import MapCells
from mentor.experiment.findings.measured import Measured

Made = tuple[str, str, tuple[float, float], Draw]
_MOST_TOOLS = 12


def tools(found: Measured) -> Made | None:
    """Figure 4."""
    if not found.tools:
        return None
    names = _ordered(found)
    size = (max(6.5, 2.6 + 0.62 * len(names)), 1.5 + 0.32 * len(found.tools))
    caption = "Share of each tool among the calls that reached one, in %, the teacher first."
    if len({tool for row in found.tools.values() for tool in row}) > len(names):
        caption += f" The {len(names)} most used tools."
    return "Figure 4: tools called", caption, size, lambda figure, theme: _tools(figure, theme, found, names)


def map_cells(found: MapCells) -> Made:
    """A map."""
    size = (max(5.0, 1.6 + 1.35 * len(found.columns)), max(2.6, 1.3 + 0.85 * len(found.rows)))
    caption = (
        f"{found.title}, with 95% intervals over seeds and questions together, paired. Hatched: the interval includes 0. "
        "Not corrected for the number of cells."
    )
    return f"Map: {found.wanted.name}", caption, size, lambda figure, theme: _map(figure, theme, found)


def _ordered(found: Measured) -> list[str]:
    """Tools, most used first by whoever is named first; the rest by any."""
    first = next(iter(found.tools.values()))
    names = {tool for row in found.tools.values() for tool in row}
    most = {tool: max(row.get(tool, 0.0) for row in found.tools.values()) for tool in names}
    return sorted(names, key=lambda tool: (-first.get(tool, 0.0), -most[tool], tool))[:_MOST_TOOLS]


def _tools(figure: Any, theme: Theme, found: Measured, names: list[str]) -> None:
    axes = figure.subplots()
    table = [[100 * row.get(tool, 0.0) for tool in names] for row in found.tools.values()]
    top = max(map(max, table))
    axes.imshow(table, cmap=_shades(theme.ground, theme.series[0]), vmin=0, vmax=top, aspect="auto")
    for y, row in enumerate(table):
        for x, value in enumerate(row):
            ink = theme.ground if value > 0.65 * top else theme.ink
            axes.text(x, y, f"{value:.0f}" if value >= 0.5 or not value else "<1", ha="center", va="center", color=ink)
    axes.set_yticks(range(len(table)), [shown(found.label(method)) for method in found.tools])
    axes.set_xticks(range(len(names)), [shown(tool, 24) for tool in names], rotation=30, ha="right")
    _bare(axes)


def _map(figure: Any, theme: Theme, found: MapCells) -> None:
    from matplotlib.patches import Rectangle

    axes = figure.subplots()
    means = [found.scale * one.mean for one in found.cells.values() if one]
    top = max((abs(mean) for mean in means), default=0.0) or 1.0
    colours = _shades(theme.series[1], theme.ground, theme.series[0])
    table = [[_mean(found, row, column) for column in found.columns] for row in found.rows]
    axes.imshow(table, cmap=colours, vmin=-1.7 * top, vmax=1.7 * top, aspect="auto")
    for y, row in enumerate(found.rows):
        for x, column in enumerate(found.columns):
            axes.text(x, y, _words(found, row, column), ha="center", va="center", color=theme.ink, linespacing=1.3)
            one = found.cells.get((row, column))
            if one and one.low <= 0 <= one.high:
                axes.add_patch(
                    Rectangle((x - 0.5, y - 0.5), 1, 1, fill=False, hatch="///", edgecolor=theme.faint, linewidth=0)
                )
    axes.set_xticks(range(len(found.columns)), [_dial(value) for value in found.columns])
    axes.set_yticks(range(len(found.rows)), [_dial(value) for value in found.rows])
    axes.set_xlabel(shown(found.wanted.columns))
    axes.set_ylabel(shown(found.wanted.rows))
    _bare(axes)


def _mean(found: MapCells, row: float | str, column: float | str) -> float:
    one = found.cells.get((row, column))
    return found.scale * one.mean if one else 0.0


def _words(found: MapCells, row: float | str, column: float | str) -> str:
    one = found.cells.get((row, column))
    if one is None:
        return "not run"
    digits = 1 if found.scale == 100 else 3
    mean, low, high = (f"{found.scale * value:+.{digits}f}" for value in (one.mean, one.low, one.high))
    return f"{mean}\n[{low}, {high}]\n{one.seeds} seed{'s' * (one.seeds > 1)}, n={one.clusters}"


def _dial(value: float | str) -> str:
    return shown(value, 24) if isinstance(value, str) else f"{value:g}"


def _shades(*colours: str) -> Any:
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("shades", colours)


def _bare(axes: Any) -> None:
    axes.grid(False)
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
