"""From a file of traces to a data set, without asking any model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from mentor.data import write_text
from mentor.data.provenance import file_digest
from mentor.errors import UserError
from mentor_teacher.filters import FilterUse
from mentor_teacher.importers import IMPORTERS
from mentor_teacher.keeping import KeepSpec, parse_uses
from mentor_teacher.output.dataset import write_dataset
from mentor_teacher.output.layout import REJECTED
from mentor_teacher.output.manifest import Origin
from mentor_teacher.select import after_screening, screen, select
from mentor_teacher.selections import SELECTIONS


def import_dataset(
    file: Path,
    importer: str,
    options: Sequence[str],
    output: Path,
    filters: Sequence[str],
    selection: str,
    most: int,
    split: Sequence[str] = (),
) -> dict[str, Any]:
    """Write the data set of a file; returns its summary.

    Args:
        options: of the importer, as ``NAME=VALUE``.
        filters: names, or names with options as YAML: ``{name: length, max_turns: 5}``.
        most: references kept per question.
        split: ``NAME=SHARE``.

    Raises:
        UserError: an unknown importer, filter, selection or option, a file that is none of the importer's, or no trace is left.
    """
    uses = filters_of(filters)
    SELECTIONS.get(selection, "--selection")
    shares = shares_of(split)
    taken = dict(pair("--option", text) for text in options)
    imported = IMPORTERS.get(importer, "--importer").read(file, taken)
    asked = screen(imported.questions, uses)
    left = {question.id for question in asked.questions}
    traces = [trace for trace in imported.trajectories if trace.question_id in left]
    selected = select(asked.questions, traces, max_references=most, filters=after_screening(uses), selection=selection)
    gone = [f"question {question.id}: {name}: {why}" for question, name, why in asked.dropped]
    write_text(output / REJECTED, "".join(f"{reason}\n" for reason in (*imported.rejected, *gone)))
    if not selected.questions:
        why = f"see {output / REJECTED}" if imported.rejected or gone else "its rows are questions without traces"
        why = "every one was dropped by a filter" if selected.trajectories else why
        raise UserError(f"{file}: no trace is left ({why})", field="FILE", allowed="traces that the filters keep")
    models = ", ".join(sorted({trace.model or "" for trace in imported.trajectories}))
    spec = {
        "importer": importer, "importer_options": taken, "filters": [use.model_dump(mode="json") for use in uses],
        "selection": selection, "max_references": most, "split": shares,
    }  # fmt: skip
    origin = Origin(
        kind="import", model=models, spec=spec, inputs={file.name: file_digest(file)} if file.exists() else {},
        rejected=len(imported.rejected),
    )  # fmt: skip
    facts = {"model": models, "importer": importer, "file": file.name, "rejected": len(imported.rejected)}
    return write_dataset(
        output,
        asked.questions,
        selected,
        origin,
        name=output.resolve().name,
        shares=shares,
        screened=asked.steps,
        facts=facts,
    )


def filters_of(given: Sequence[str]) -> tuple[FilterUse, ...]:
    """Filters as a command line names them.

    Raises:
        UserError: naming ``--filter``.
    """
    try:
        return parse_uses([yaml.safe_load(text) for text in given], "--filter")
    except yaml.YAMLError as error:
        raise UserError(
            f"--filter: {str(error).splitlines()[0]}", field="--filter", allowed="NAME or '{name: NAME, OPTION: VALUE}'"
        ) from error


def shares_of(given: Sequence[str]) -> dict[str, float]:
    """Splits as a command line names them.

    Raises:
        UserError: naming ``--split``.
    """
    shares = dict(pair("--split", text) for text in given)
    try:
        return KeepSpec.model_validate({"split": shares}).split
    except ValidationError as error:
        raise UserError(
            f"--split: {error.errors()[0]['msg'].removeprefix('Value error, ')}", field="--split",
            allowed="NAME=SHARE, shares that are 1 together",
        ) from error  # fmt: skip


def pair(field: str, text: str) -> tuple[str, str]:
    """``NAME=VALUE``.

    Raises:
        UserError: naming the field.
    """
    name, equals, value = text.partition("=")
    if not equals:
        raise UserError(f"{field} {text!r} has no value", field=field, allowed="NAME=VALUE")
    return name, value
