"""Specs on command lines: fields set by option, and files of this machine sent along with a job."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel

from mentor.errors import UserError
from mentor.jobs.client import JobClient
from mentor.jobs.references import is_reference
from mentor.reach import Reach, named


def set_field(values: dict[str, Any], pair: str) -> None:
    """Set ``FIELD=VALUE`` in a spec; the field may be dotted, the value is YAML.

    Raises:
        UserError: it is no such pair, or leads through something that is no mapping.
    """
    name, equals, text = pair.partition("=")
    if not equals:
        raise UserError(
            f"--set {pair!r} has no value", field="--set", allowed="FIELD=VALUE, such as sampling.top_p=0.9"
        )
    *path, last = name.split(".")
    place = values
    for part in path:
        place = place.setdefault(part, {})
        if not isinstance(place, dict):
            raise UserError(f"--set {name}: {part} is no mapping", field="--set", allowed="a field of the spec")
    place[last] = yaml.safe_load(text)


def uploaded(spec: BaseModel, client: JobClient) -> dict[str, Any]:
    """The spec with files of this machine sent to the service and named by reference.

    Folders stay as they are named: the worker has them, or refuses.
    """
    values = spec.model_dump(mode="json", exclude_unset=True)
    for item in named(spec):
        if item.reach is Reach.PATH and not is_reference(item.value) and Path(item.value).is_file():
            *path, last = item.field.split(".")
            place: Any = values
            for part in path:
                place = place[int(part)] if isinstance(place, list) else place[part]
            place[int(last) if isinstance(place, list) else last] = client.upload(Path(item.value))
    return values
