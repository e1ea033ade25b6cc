"""Maps over worlds: left minus right of a metric, by two of the worlds' dials."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mentor.analysis.crossed import CrossedDifference
from mentor.experiment.findings.aligned import alignment_gap
from mentor.experiment.findings.cells import signed
from mentor.experiment.findings.measures import MEASURES, difference
from mentor.experiment.findings.results import Results, Where
from mentor.experiment.spec import Map
from mentor.tabular import NONE, Table

Dial = float | str


@dataclass(frozen=True)
class MapCells:
    """``cells`` by row's and column's dial; None where a side was not run. ``scale``: to the unit shown."""

    wanted: Map
    rows: tuple[Dial, ...]
    columns: tuple[Dial, ...]
    cells: Mapping[tuple[Dial, Dial], CrossedDifference | None]
    scale: float

    @property
    def title(self) -> str:
        """What the cells say."""
        unit = "points" if self.scale == 100 else self.wanted.metric
        return (
            f"{self.wanted.left} - {self.wanted.right}, {unit} of {', '.join(self.wanted.sets)} ({self.wanted.student})"
        )


def map_of(results: Results, wanted: Map) -> MapCells:
    """All cells for which there is a world; worlds with the same dials count together."""
    worlds: dict[tuple[Dial, Dial], list[str]] = {}
    for name, world in results.spec.worlds.items():
        if wanted.rows in world.dials and wanted.columns in world.dials:
            worlds.setdefault((world.dials[wanted.rows], world.dials[wanted.columns]), []).append(name)
    cells = {place: _cell(results, wanted, names) for place, names in worlds.items()}
    rows, columns = (_ordered([place[axis] for place in worlds]) for axis in (0, 1))
    share = wanted.metric == "alignment_score" or MEASURES[wanted.metric].share
    return MapCells(wanted, rows, columns, cells, 100.0 if share else 1.0)


def table(found: MapCells) -> Table:
    """The same as text."""
    header = (f"{found.wanted.rows} \\ {found.wanted.columns}", *map(_shown, found.columns))
    rows = tuple(
        (_shown(row), *(signed(found.cells.get((row, column)), found.scale) for column in found.columns))
        for row in found.rows
    )
    note = f"`*`: the interval leaves out 0, not corrected for the number of cells. `{NONE}`: not run."
    return Table(found.title, header, rows, words=1, note=note)


def _cell(results: Results, wanted: Map, worlds: Sequence[str]) -> CrossedDifference | None:
    where = Where(tuple(worlds), (wanted.student,), wanted.sets)
    if wanted.metric == "alignment_score":
        return alignment_gap(results, wanted.left, wanted.right, where)
    return difference(results, wanted.metric, wanted.left, wanted.right, where)


def _ordered(values: Sequence[Dial]) -> tuple[Dial, ...]:
    """Numbers by size, then words as they come in the grid file."""
    seen = dict.fromkeys(values)
    numbers = sorted(v for v in seen if not isinstance(v, str))
    return (*numbers, *(v for v in seen if isinstance(v, str)))


def _shown(value: Dial) -> str:
    return value if isinstance(value, str) else f"{value:g}"
