"""A data set's statistics for people, at a terminal."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from mentor.errors import UserError
from mentor_teacher.output.layout import MANIFEST, REJECTED, SUMMARY, read_folder
from mentor_teacher.output.statistics import Statistics, funnel, statistics

_WIDEST = 100


def inspect_dataset(folder: Path, examples: int) -> tuple[Statistics, list[str]]:
    """Statistics of a folder, and the first rows that an import could not take.

    Raises:
        UserError: it holds no data set.
    """
    read = read_folder(folder)
    asked, order = _asked(folder, len(read.questions))
    found = statistics(read.trajectories, asked, order, examples)
    rejected = folder / REJECTED
    lines = rejected.read_text(encoding="utf-8").splitlines() if examples and rejected.is_file() else []
    return found, lines[:examples]


def _asked(folder: Path, known: int) -> tuple[int, list[str]]:
    """Questions that were asked, and the filters in their order, as the manifest has them (older data sets: the summary)."""
    for name in (MANIFEST, SUMMARY):
        file = folder / name
        if file.is_file():
            try:
                told = json.loads(file.read_text())
            except ValueError as error:
                raise UserError(f"{file} is not JSON", field="FOLDER") from error
            return int(told.get("questions", known)), [step["filter"] for step in told.get("filters", ())]
    return known, []


def show(found: Statistics, rejected: list[str]) -> None:
    """Print tables."""
    console = Console(highlight=False)
    console.print(
        f"{found.questions} questions, {found.questions_with_references} with references; {found.trajectories} trajectories, "
        f"{found.kept} kept"
    )
    console.print(_table("what became of the trajectories", ("step", "change", "left"), funnel(found)))
    if found.tools:
        rows = [(name, entry["ok"], entry["failed"]) for name, entry in found.tools.items()]
        console.print(_table("calls of what was kept", ("tool", "ok", "failed"), rows))
    spreads = [(s.name, s.least, s.quarter, s.median, s.three_quarters, s.most) for s in found.spreads]
    console.print(_table("per reference", ("", "least", "25%", "median", "75%", "most"), spreads))
    bands = [
        (band.label, band.questions, band.with_references, f"{100 * band.share:.0f}%")
        for band in found.difficulty
        if band.questions
    ]
    console.print(_table("by share of right samples", ("share", "questions", "with references", "of samples"), bands))
    for name, examples in found.examples.items():
        console.print(f"dropped by {_plain(name)}:")
        for example in examples:
            where = f"{example.question_id}/{example.sample}"
            console.print(f"  {_plain(where)}: {_plain(example.why)}\n    {_plain(example.question)}")
    if rejected:
        console.print("rows that could not be taken:", *(f"  {_plain(line)}" for line in rejected), sep="\n")


def _table(title: str, columns: tuple[str, ...], rows: Sequence[tuple[object, ...]]) -> Table:
    table = Table(title=title, title_justify="left")
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left")
    for row in rows:
        table.add_row(*(f"{cell:g}" if isinstance(cell, float) else _plain(str(cell)) for cell in row))
    return table


def _plain(text: str) -> str:
    """Somebody's text on a terminal: one line, no control characters, no markup."""
    shown = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return escape(shown if len(shown) <= _WIDEST else f"{shown[: _WIDEST - 1]}…")
