"""From a file of traces to a data set, without asking any model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mentor.data import write_text
from mentor.errors import UserError
from mentor_teacher.dataset import write_dataset
from mentor_teacher.filters import FILTERS
from mentor_teacher.importers import IMPORTERS
from mentor_teacher.select import select
from mentor_teacher.selections import SELECTIONS

REJECTED = "rejected.txt"


def import_dataset(
    file: Path, importer: str, options: Sequence[str], output: Path, filters: Sequence[str], selection: str, most: int
) -> dict[str, Any]:
    """Write the data set of a file; returns its summary.

    Args:
        options: of the importer, as ``NAME=VALUE``.
        most: references kept per question.

    Raises:
        UserError: an unknown importer, filter, selection or option, a file that is none of the importer's, or no trace is left.
    """
    for name in filters:
        FILTERS.get(name, "--filter")
    SELECTIONS.get(selection, "--selection")
    imported = IMPORTERS.get(importer, "--importer").read(file, dict(_option(text) for text in options))
    selected = select(
        imported.questions, imported.trajectories, max_references=most, filters=filters, selection=selection
    )
    write_text(output / REJECTED, "".join(f"{reason}\n" for reason in imported.rejected))
    if not selected.questions:
        why = f"see {output / REJECTED}" if imported.rejected else "its rows are questions without traces"
        raise UserError(f"{file}: no trace is left ({why})", field="FILE", allowed="traces that the filters keep")
    models = sorted({trajectory.model or "" for trajectory in imported.trajectories})
    facts = {"model": ", ".join(models), "importer": importer, "file": file.name, "rejected": len(imported.rejected)}
    return write_dataset(output, imported.questions, imported.trajectories, selected, facts)


def _option(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise UserError(f"--option {text!r} has no value", field="--option", allowed="NAME=VALUE")
    return name, value
