"""Forms from JSON schemas, and specs from what people filled in. What a spec may hold is said by the service alone.

A field of a form is a scalar of the schema, one level of objects deep; whatever is deeper, or a list, is written as JSON.
A field left empty is not in the spec.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from mentor.errors import UserError

Look = Literal["text", "number", "choice", "json"]
_TELLING = 16
"""Characters of a digest or a job's id that are in the path of what it names."""
_FIRST = (
    "questions", "train_files", "suites", "own", "models", "model", "model.path", "model.url", "model.name", "suite",
    "samples", "max_questions", "tools", "judge", "algorithm", "total_steps",
)  # fmt: skip


@dataclass(frozen=True)
class Field:
    """One field. ``name`` is its dotted path in the spec."""

    name: str
    look: Look
    required: bool
    about: str
    default: str
    choices: tuple[str, ...] = ()

    @property
    def first(self) -> bool:
        """Whether it is shown without asking for more."""
        return self.required or self.name in _FIRST


def fields_of(schema: Mapping[str, Any]) -> list[Field]:
    """The fields of a spec, those that matter to everybody first."""
    found = list(_fields(schema, schema, "", True))
    return sorted(found, key=lambda field: (not field.first, not field.required))


def _fields(root: Mapping[str, Any], node: Mapping[str, Any], prefix: str, needed: bool) -> Iterator[Field]:
    required = set(node.get("required", ()))
    for name, raw in node.get("properties", {}).items():
        part = _plain(root, raw)
        path, wanted = f"{prefix}{name}", needed and name in required
        if part.get("type") == "object" and part.get("properties") and not prefix:
            yield from _fields(root, part, f"{name}.", wanted)
            continue
        about = str(raw.get("description") or "")
        default = raw.get("default", part.get("default"))
        shown = "" if default is None else default if isinstance(default, str) else json.dumps(default)
        yield Field(path, _look(part), wanted, about, shown, _choices(part))


def _plain(root: Mapping[str, Any], node: Mapping[str, Any]) -> Mapping[str, Any]:
    """A node without references, and of alternatives with null the other one."""
    while True:
        if "$ref" in node:
            node = root.get("$defs", {}).get(str(node["$ref"]).rpartition("/")[2], {})
            continue
        options = [option for option in node.get("anyOf", ()) if option.get("type") != "null"]
        if len(options) == 1:
            node = options[0]
            continue
        return node


def _look(node: Mapping[str, Any]) -> Look:
    if "enum" in node or "const" in node or node.get("type") == "boolean":
        return "choice"
    if node.get("type") in ("integer", "number"):
        return "number"
    return "text" if node.get("type") == "string" else "json"


def _choices(node: Mapping[str, Any]) -> tuple[str, ...]:
    if node.get("type") == "boolean":
        return ("true", "false")
    return tuple(str(value) for value in node.get("enum", [node["const"]] if "const" in node else ()))


def values_of(fields: list[Field], spec: Mapping[str, Any]) -> dict[str, str]:
    """What a form shows of a spec."""
    found: dict[str, str] = {}
    for field in fields:
        value: Any = spec
        for part in field.name.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
        if value is not None:
            found[field.name] = value if isinstance(value, str) and field.look != "json" else json.dumps(value)
    return found


def spec_of(fields: list[Field], values: Mapping[str, str]) -> dict[str, Any]:
    """The spec of what was filled in.

    Raises:
        UserError: a field is neither empty nor of its kind, naming it.
    """
    spec: dict[str, Any] = {}
    for field in fields:
        text = values.get(field.name, "").strip()
        if not text:
            continue
        place, (*parents, last) = spec, field.name.split(".")
        for parent in parents:
            place = place.setdefault(parent, {})
        place[last] = _value(field, text)
    return spec


def _value(field: Field, text: str) -> Any:
    if field.look == "text" or (field.look == "choice" and text not in ("true", "false")):
        return text
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        wanted = "a number" if field.look == "number" else 'JSON, such as ["a", "b"] or {"name": "value"}'
        if field.look == "json" and text[0] not in '[{"-0123456789':
            return text  # one that may be a plain text as well as a list or an object
        raise UserError(f"{field.name} is not understood", field=field.name, allowed=wanted) from None


def from_json(text: str) -> dict[str, Any]:
    """A whole spec as JSON.

    Raises:
        UserError: it is none.
    """
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"the spec is no JSON: {error}", field="spec", allowed="a JSON object") from None
    if not isinstance(found, dict):
        raise UserError("the spec is no JSON object", field="spec", allowed="a JSON object")
    return found


def place_of(fields: list[Field], error: UserError, values: Mapping[str, str] | None = None) -> str:
    """The field of the form at which an error is shown; "" where it is of none.

    Args:
        values: what was filled in: an error that names a file is shown at the field that holds it.
    """
    at = error.field or ""
    names = {field.name for field in fields}
    for name, text in (values or {}).items():
        if name in names and at not in names and _same_file(at, text):
            return name
    while at and at not in names:
        if below := next((name for name in sorted(names) if name.startswith(f"{at}.")), None):
            return below
        at = at.rpartition(".")[0]
    return at


def _same_file(path: str, text: str) -> bool:
    """Whether a path at the service is what a value names: itself, or ``file:DIGEST/NAME`` and ``artifact:JOB/NAME`` there."""
    scheme, _, rest = text.partition(":")
    owner, _, name = rest.partition("/")
    known = scheme in ("file", "artifact") and bool(name) and owner[:_TELLING] in path
    return bool(path) and (path == text or (known and path.endswith(f"/{name}")))
