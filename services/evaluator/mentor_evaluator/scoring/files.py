"""Files to be scored: which shape they have, and what is wrong in which line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from mentor.data import read_questions
from mentor.data.files import check_readable
from mentor.errors import UserError
from mentor.trajectory import Question
from mentor_evaluator.bfcl.results import read_results
from mentor_evaluator.datasets import rows
from mentor_evaluator.runs import MANIFEST, QUESTIONS, TRAJECTORIES, Run
from mentor_evaluator.scoring.shapes import ACCEPTED, BFCL, Item, Row, Shape, is_bfcl, shape_of

_FLASHRAG = "intermediate_data.json"
_SUMMARY = "metric_score.txt"
_SHOWN = 5


@dataclass
class Found:
    """What files hold. ``official``: rows of BFCL's result files. ``skipped``: broken lines with their places."""

    items: list[Item] = field(default_factory=list)
    official: list[Row] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    shapes: set[str] = field(default_factory=set)
    files: list[Path] = field(default_factory=list)


def read_files(paths: list[Path], questions: Path | None = None, *, skip_broken: bool = False) -> Found:
    """Everything that files and folders hold: a run's folder, one with FlashRAG's results, one with BFCL's, or single files.

    Raises:
        UserError: a file has no shape that is known, or lines are broken and ``skip_broken`` is false: it names the first
            of them by number, and how many there are.
    """
    known = {q.id: q for q in read_questions(questions, "questions")} if questions else {}
    found = Found()
    for path in paths:
        for file in _expanded(path):
            _read(file, known, found)
    if found.skipped and not skip_broken:
        more = f" (and {len(found.skipped) - _SHOWN} more)" if len(found.skipped) > _SHOWN else ""
        raise UserError(
            f"{len(found.skipped)} lines are malformed: {'; '.join(found.skipped[:_SHOWN])}{more}",
            field="FILE", allowed="well-formed lines, or --skip-broken for the rest",
        )  # fmt: skip
    if not found.items and not found.official:
        raise UserError("there is no sample in it", field="FILE", allowed=ACCEPTED)
    return found


def _expanded(path: Path) -> list[Path]:
    if path.name == _SUMMARY:
        raise UserError(f"{path} holds no samples", field="FILE", allowed=f"{_FLASHRAG}, which lies beside it")
    if not path.is_dir():
        check_readable(path, "FILE")
        return [path]
    if (path / MANIFEST).is_file():
        return [cell.folder / TRAJECTORIES for cell in Run(path).cells()]
    files = [path / _FLASHRAG] if (path / _FLASHRAG).is_file() else sorted(path.rglob("BFCL_v4_*_result.json"))
    if not files:
        raise UserError(
            f"{path} holds nothing to score", field="FILE",
            allowed=f"the folder of a run, one with {_FLASHRAG}, or one with BFCL_v4_*_result.json",
        )  # fmt: skip
    return files


def _read(file: Path, known: Mapping[str, Question], found: Found) -> None:
    found.files.append(file)
    beside = file.parent / QUESTIONS
    questions = known or ({q.id: q for q in read_questions(beside)} if beside.is_file() else {})
    shape: Shape | None = None
    for place, text in rows.raw(file, "FILE"):
        try:
            row = rows.parsed(text)
            if shape is None and is_bfcl(row):
                found.shapes.add(BFCL)
                found.official += read_results(file)
                return
            shape = shape or _shape(file, row)
            found.shapes.add(shape.name)
            found.items.append(_placed(shape.read(row, questions), file))
        except ValueError as error:
            found.skipped.append(f"{file}, {place}: {error}")


def _shape(file: Path, row: Row) -> Shape:
    shape = shape_of(row)
    if shape is None:
        raise UserError(
            f"{file} has a shape that is not known: {', '.join(map(str, row))[:120]}", field="FILE", allowed=ACCEPTED
        )
    return shape


def _placed(item: Item, file: Path) -> Item:
    """Trajectories in a run's folder have model and suite in their path; FlashRAG's results have the data set in it."""
    parts = file.parts
    if file.name == TRAJECTORIES and len(parts) > 4 and parts[-5] == "cells":
        return replace(item, model=parts[-4], suite=parts[-3], arm=parts[-2])
    return replace(item, suite=item.suite or file.parent.name)
