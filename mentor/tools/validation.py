"""Arguments against a tool's JSON Schema: one check and one wording for clients and for the sandbox."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, ValidationError, best_match

from mentor.errors import UserError
from mentor.tools.spec import ToolSpec

_MAX_SHOWN = 60
_MOST_KEPT = 4096
_validators: dict[int, tuple[ToolSpec, Draft202012Validator]] = {}


def argument_error(spec: ToolSpec, arguments: dict[str, Any]) -> str | None:
    """What is wrong with the arguments, one line (``missing 'firstNumber'``); None if they fit.

    Arguments that the schema does not name are refused unless it says ``additionalProperties``: the tool would raise.

    Raises:
        UserError: the tool's schema is itself invalid.
    """
    error = best_match(_validator_of(spec).iter_errors(arguments))
    return None if error is None else _worded(error)


def closed_schema(spec: ToolSpec) -> dict[str, Any]:
    """The tool's schema, closed to arguments that it does not name unless it says otherwise."""
    return _closed(dict(spec.parameters))


def _closed(schema: dict[str, Any]) -> dict[str, Any]:
    if schema.get("type", "object") == "object":
        schema.setdefault("additionalProperties", False)
    return schema


def _validator_of(spec: ToolSpec) -> Draft202012Validator:
    """Made once for each spec object (specs are frozen, but hold dictionaries and so cannot be keys themselves)."""
    kept = _validators.get(id(spec))
    if kept is None or kept[0] is not spec:
        if len(_validators) >= _MOST_KEPT:
            _validators.clear()
        schema = json.dumps(spec.parameters, sort_keys=True)
        kept = _validators[id(spec)] = (spec, _validator(spec.name, schema))
    return kept[1]


@lru_cache(maxsize=1024)
def _validator(name: str, schema_json: str) -> Draft202012Validator:
    # Closed last: of a missing and an unknown argument, the missing one is told, and the model has seen it so.
    schema = json.loads(schema_json)
    if isinstance(schema, dict):
        schema = _closed(schema)
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        raise UserError(f"the schema of tool {name} is invalid: {error.message}", field=name) from None
    return Draft202012Validator(schema)


def _worded(error: ValidationError) -> str:
    where = ".".join(str(part) for part in error.absolute_path)
    rule: Any = error.validator_value
    given: Any = error.instance
    if error.validator == "required":
        missing = next(name for name in rule if name not in given)
        return f"missing {missing!r}" if not where else f"{where}: missing {missing!r}"
    if error.validator == "additionalProperties":
        schema: Any = error.schema
        extra = next((name for name in given if name not in schema.get("properties", {})), "?")
        return f"unexpected {extra!r}"
    if error.validator == "type":
        return f"{where or 'arguments'} must be {rule}, got {_shown(given)}"
    return f"{where or 'arguments'}: {error.message[:200]}"


def _shown(value: Any) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}..."
