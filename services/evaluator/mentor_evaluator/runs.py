"""The folder of a run: what an evaluation writes, and what reports, comparisons, exports and pages read.

Layout: ``manifest.json``, and per cell ``cells/MODEL/SUITE/ARM/`` with ``questions.jsonl`` (as they were asked),
``trajectories.jsonl`` (scored, one line per sample, the last word on a sample counts) and ``report.json``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from mentor.data import iter_trajectories, read_questions
from mentor.errors import UserError
from mentor.trajectory import Question, Trajectory
from mentor_evaluator.matrix.manifest import Manifest

MANIFEST, REPORT, QUESTIONS, TRAJECTORIES = "manifest.json", "report.json", "questions.jsonl", "trajectories.jsonl"


@dataclass(frozen=True)
class CellFolder:
    """One cell of a run on disk."""

    folder: Path
    model: str
    suite: str
    arm: str

    @property
    def key(self) -> str:
        """``MODEL/SUITE/ARM``."""
        return f"{self.model}/{self.suite}/{self.arm}"

    @property
    def questions(self) -> list[Question]:
        """As they were asked."""
        return read_questions(self.folder / QUESTIONS)

    @property
    def trajectories(self) -> list[Trajectory]:
        """One per question and sample: the last word on each."""
        last = {(t.question_id, t.sample): t for t in iter_trajectories(self.folder / TRAJECTORIES)}
        return list(last.values())

    @property
    def report(self) -> dict[str, Any]:
        """The cell's figures."""
        found: dict[str, Any] = json.loads((self.folder / REPORT).read_text())
        return found


@dataclass(frozen=True)
class Run:
    """A finished (or partly finished) run. ``called``: its name where the folder's says nothing."""

    folder: Path
    called: str | None = None

    @property
    def name(self) -> str:
        """What tables call it."""
        return self.called or self.folder.name

    @cached_property
    def manifest(self) -> Manifest:
        """What the run was."""
        return Manifest.model_validate_json((self.folder / MANIFEST).read_text())

    @property
    def report(self) -> dict[str, Any]:
        """The matrix of results."""
        found: dict[str, Any] = json.loads((self.folder / REPORT).read_text())
        return found

    def cells(self) -> Iterator[CellFolder]:
        """In the order of their names."""
        for file in sorted((self.folder / "cells").glob(f"*/*/*/{TRAJECTORIES}")):
            model, suite, arm = file.parent.parts[-3:]
            yield CellFolder(file.parent, model, suite, arm)

    def cell(self, key: str) -> CellFolder:
        """A cell by ``MODEL/SUITE/ARM``.

        Raises:
            UserError: the run has no such cell.
        """
        for cell in self.cells():
            if cell.key == key:
                return cell
        raise UserError(f"no cell {key!r} in this run", field="cell", allowed=", ".join(c.key for c in self.cells()))


def open_run(folder: Path, field: str = "run", called: str | None = None) -> Run:
    """A run by its folder.

    Raises:
        UserError: there is none.
    """
    if not (folder / MANIFEST).is_file():
        raise UserError(f"{folder} holds no run", field=field, allowed="a folder that `mentor eval run` wrote")
    return Run(folder, called)


def cell_folder(run: Path, key: str) -> Path:
    """Where a cell's files lie."""
    return run / "cells" / key
