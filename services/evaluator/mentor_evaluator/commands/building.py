"""An evaluation's spec from a YAML file and options."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from mentor.cli.specs import set_field
from mentor.data.files import read_mapping
from mentor.errors import UserError
from mentor.jobs.handler import spec_error
from mentor_evaluator.datasets.own import read_own_suite
from mentor_evaluator.matrix.spec import EvaluationSpec


def build_spec(
    file: Path | None,
    models: Sequence[str],
    suites: Sequence[str],
    changes: Mapping[str, Any],
    sampling: Mapping[str, Any],
    pairs: Sequence[str],
    engine: str | None = None,
) -> EvaluationSpec:
    """The spec. Options replace the file's fields; ``models`` and ``suites`` that are given replace its own.

    ``engine`` serves every model that is a folder.

    Raises:
        UserError: naming the field.
    """
    values: dict[str, Any] = read_mapping(file) if file else {}
    values |= {name: value for name, value in changes.items() if value is not None}
    if models:
        values["models"] = [_model(text) for text in models]
    if suites:
        values["suites"] = list(suites)
    given = {name: value for name, value in sampling.items() if value is not None}
    if given:
        values["sampling"] = {"temperature": 0.6, "max_tokens": 8192, "seed": 0, **values.get("sampling", {}), **given}
    if engine:
        _serve(values, engine)
    for pair in pairs:
        set_field(values, pair)
    if not values.get("models"):
        raise UserError("no model is given", field="--model", allowed="NAME=FOLDER or NAME=ID@URL")
    _own_suites(values)
    try:
        return EvaluationSpec.model_validate(values)
    except ValidationError as error:
        raise spec_error(error) from error


def _model(text: str) -> dict[str, Any]:
    name, equals, where = text.partition("=")
    if not equals:
        name, where = Path(text.rpartition("@")[0] or text).name, text
    served, at, url = where.rpartition("@")
    if at and url.startswith(("http://", "https://")):
        return {"name": name, "model": {"url": url, "name": served or name}}
    return {"name": name, "model": {"path": str(Path(where).resolve())}}


def _serve(values: dict[str, Any], engine: str) -> None:
    folders = [entry["model"] for entry in values.get("models") or () if (entry.get("model") or {}).get("path")]
    if not folders:
        raise UserError("--engine serves folders, and no model is one", field="--engine", allowed="--model NAME=FOLDER")
    for model in folders:
        model["serve"] = {**(model.get("serve") or {}), "engine": engine}


def _own_suites(values: dict[str, Any]) -> None:
    """Suites given as YAML files become part of the spec."""
    named = [str(name) for name in values.get("suites", ())]
    files = [name for name in named if name.endswith((".yaml", ".yml"))]
    own = [read_own_suite(Path(name)).model_dump() for name in files]
    values["suites"] = [name for name in named if name not in files]
    values["own"] = [*values.get("own", ()), *own]
