"""A comparison's result."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

STAND_IN = " (stand-in)"
"""In a peer's name: written for the benchmark, in place of a published server whose checkout is not named."""


@dataclass(frozen=True)
class Row:
    """Ours beside one peer: the values of every round, their unit, and the ratio that is wanted.

    ``goal`` is what ours over the peer's must be at least, or with ``at_most`` at most; None: only shown.
    """

    name: str
    unit: str
    ours: tuple[float, ...]
    peer: str
    theirs: tuple[float, ...]
    samples: int
    goal: float | None = None
    at_most: bool = False
    errors: int = 0
    """Requests that failed, on either side; any makes the comparison worthless."""
    peer_samples: int | None = None
    """The peer's own number, where it is not that of ours."""

    @property
    def ratio(self) -> float:
        """Of the medians, ours over the peer's; not a number where there is no peer."""
        return statistics.median(self.ours) / statistics.median(self.theirs) if self.theirs else float("nan")

    @property
    def missed(self) -> bool:
        """Whether there is a goal and it was not reached, or a request failed."""
        if self.errors:
            return True
        if self.goal is None or not self.theirs:
            return False
        return self.ratio > self.goal if self.at_most else self.ratio < self.goal

    @property
    def not_compared(self) -> bool:
        """Whether there is a goal and no peer to hold ours against, which is no pass."""
        return self.goal is not None and not self.theirs

    def line(self) -> str:
        """For the terminal."""
        goal = "" if self.goal is None else f" ({'at most' if self.at_most else 'at least'} {self.goal:g})"
        theirs = f"{self.peer} {spread(self.theirs)} {self.unit}   ratio {self.ratio:.2f}{goal}" if self.theirs else ""
        return f"{self.name}: {spread(self.ours)} {self.unit}   {theirs or self.peer}   n={self._counted}{self._failed}"

    @property
    def _counted(self) -> str:
        return str(self.samples) if self.peer_samples is None else f"{self.samples} and {self.peer_samples}"

    @property
    def _failed(self) -> str:
        return f" errors={self.errors}" if self.errors else ""

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        return {
            **asdict(self),
            "ratio": self.ratio if self.theirs else None,
            "missed": self.missed,
            "not_compared": self.not_compared,
        }


def by_published_peers(rows: Sequence[Row]) -> list[Row]:
    """Goals are meant beside the published servers: beside a stand-in for one a row is shown, and its goal not compared."""
    found: list[Row] = []
    for row in rows:
        if row.goal is None or STAND_IN not in row.peer:
            found.append(row)
            continue
        absent = replace(row, peer=f"{row.peer.replace(STAND_IN, '')}: no checkout", theirs=(), errors=0)
        found += [replace(row, goal=None), absent]
    return found


def spread(values: Sequence[float]) -> str:
    """Median, with the lowest and the highest."""
    return f"{_short(statistics.median(values))} [{_short(min(values))}, {_short(max(values))}]"


def _short(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def closing(rows: Sequence[Row]) -> tuple[int, str]:
    """A command's exit status and last line: 1 if a goal was missed, 2 if one was not compared for want of its peer."""
    wanted = [row for row in rows if row.goal is not None or row.errors]
    missed = [row.name for row in wanted if row.missed]
    absent = [row.name for row in wanted if row.not_compared and not row.missed]
    parts = [f"{len(wanted) - len(missed) - len(absent)} of {len(wanted)} goals reached"]
    parts += [f"{len(missed)} missed: {'; '.join(missed)}"] if missed else []
    parts += [f"{len(absent)} not compared: {'; '.join(absent)}"] if absent else []
    return 1 if missed else 2 if absent else 0, ", ".join(parts)


def markdown(rows: Sequence[Row]) -> str:
    """A table."""
    lines = [
        "| | ours | peer | | ratio | goal | calls |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        goal = "" if row.goal is None else f"{'≤' if row.at_most else '≥'} {row.goal:g}"
        ratio = f"{row.ratio:.2f}" if row.theirs else "not compared" if row.not_compared else ""
        theirs = f"{spread(row.theirs)} {row.unit}" if row.theirs else ""
        ours = f"{spread(row.ours)} {row.unit}"
        lines.append(
            f"| {row.name} | {ours} | {row.peer} | {theirs} | {ratio} | {goal} | {row._counted}{row._failed} |"
        )
    return "\n".join(lines) + "\n"
