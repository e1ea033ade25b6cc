"""The figures of a report: numbers follow the paper's, as SVG and PNG, light and dark."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mentor.drawing import Draw, write_figure
from mentor.experiment.findings.figures import budget, heat, lines, points, scores
from mentor.experiment.findings.maps import MapCells
from mentor.experiment.findings.measured import Measured
from mentor.experiment.findings.results import Results

_FEW_METHODS = 3
"""Worlds with fewer ways of training are there for a map, which shows them."""


@dataclass(frozen=True)
class Sketch:
    """What is to be drawn. ``size`` in inches; ``caption`` says what is seen and how to read it."""

    name: str
    title: str
    caption: str
    size: tuple[float, float]
    draw: Draw


@dataclass(frozen=True)
class Drawn:
    """A figure in its files: ``light`` and ``dark`` are SVG."""

    title: str
    caption: str
    light: Path
    dark: Path
    paths: tuple[Path, ...]


Maker = Callable[[Measured], tuple[str, str, tuple[float, float], Draw] | None]
"""Title, caption, size, drawing; None where there is nothing to draw."""
_OF_A_WORLD: dict[str, Maker] = {
    "figure1": points.accuracies,
    "figure4": heat.tools,
    "figure5": points.use,
    "figure6": lines.invalid,
    "figure7": lines.training,
    "tokens": lines.at_equal_tokens,
    "budget": budget.budgets,
}


def sketches(results: Results, measured: Sequence[Measured], maps: Sequence[MapCells]) -> list[Sketch]:
    """Every figure that there is something for."""
    found = [*_of_worlds(results, measured), *(Sketch(f"map-{m.wanted.name}", *heat.map_cells(m)) for m in maps)]
    over_all = scores.scores(results, measured)
    if over_all:
        found.append(Sketch("figure3", *over_all))
    return sorted(found, key=lambda sketch: sketch.title)  # Figure 1 to 7, then maps and the others


def _of_worlds(results: Results, measured: Sequence[Measured]) -> Iterator[Sketch]:
    chosen = with_several_ways(results, measured)
    several = len(chosen) > 1
    for one in chosen:
        for name, maker in _OF_A_WORLD.items():
            made = maker(one)
            if made:
                title, caption, size, draw = made
                place = f"{name}-{'-'.join(one.pair)}" if several else name
                yield Sketch(place, f"{title}, {one.name}" if several else title, caption, size, draw)


def drawn(sketch: Sketch, folder: Path) -> Drawn:
    """Draw one."""
    paths = write_figure(sketch.draw, sketch.size, folder, sketch.name)
    light, dark = (next(p for p in paths if p.name == f"{sketch.name}-{theme}.svg") for theme in ("light", "dark"))
    return Drawn(sketch.title, sketch.caption, light, dark, tuple(paths))


def with_several_ways(results: Results, measured: Sequence[Measured]) -> list[Measured]:
    """Worlds with several ways of training; all, where none has."""
    rich = [one for one in measured if sum(map(results.is_trained, one.methods)) >= _FEW_METHODS]
    return rich or list(measured)
