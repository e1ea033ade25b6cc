"""What the fields of a spec name. A test holds that every text field of every spec is either marked or known to be plain."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto

from pydantic import BaseModel


class Reach(Enum):
    """Put into a field's annotation: ``questions: Annotated[str, Reach.PATH]``."""

    PATH = auto()
    """A file or folder, or a reference to one in the store."""
    PRESET = auto()
    """A name, or the path of a YAML file."""
    MODEL = auto()
    """URL of a model server."""
    SERVICE = auto()
    """URL or gRPC target of a sandbox or retriever: this deployment's key goes there."""
    RAY = auto()
    """URL of a Ray cluster's job server: what it is sent, it runs."""
    VARIABLE = auto()
    """Environment variable whose value goes, as a key, to the ``url`` beside it."""
    ARGUMENT = auto()
    """An argument of a program that the worker starts; the model that holds it knows which are plain."""


@dataclass(frozen=True)
class Named:
    """One thing that a spec names. ``field`` is dotted; ``owner`` is the model that holds the field."""

    field: str
    reach: Reach
    value: str
    owner: BaseModel


def named(spec: BaseModel, prefix: str = "") -> Iterator[Named]:
    """Everything that a spec names, in the order of its fields; what is not given is left out."""
    for name, info in type(spec).model_fields.items():
        value, field = getattr(spec, name), f"{prefix}{name}"
        mark = next((item for item in info.metadata if isinstance(item, Reach)), None)
        if isinstance(value, BaseModel):
            yield from named(value, f"{field}.")
        elif isinstance(value, tuple) and any(isinstance(item, BaseModel) for item in value):
            for index, item in enumerate(value):
                yield from named(item, f"{field}.{index}.")
        elif mark is not None and isinstance(value, str):
            yield Named(field, mark, value, spec)
        elif mark is not None and isinstance(value, tuple | list):
            yield from (Named(f"{field}.{index}", mark, item, spec) for index, item in enumerate(value))
