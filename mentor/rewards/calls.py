"""When two calls are the same: numbers by value, an omitted argument as its default."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from mentor.tools.spec import ToolSpec
from mentor.trajectory import CallSignature

Defaults = Mapping[str, Mapping[str, Any]]
"""Default values by tool and argument."""


def defaults_of(tools: Iterable[ToolSpec]) -> Defaults:
    """The defaults that the tools' schemas declare."""
    return {tool.name: found for tool in tools if (found := _declared(tool.parameters))}


def _declared(parameters: Mapping[str, Any]) -> dict[str, Any]:
    properties = parameters.get("properties")
    if not isinstance(properties, dict):
        return {}
    return {name: s["default"] for name, s in properties.items() if isinstance(s, dict) and "default" in s}


def canonical_arguments(call: CallSignature, defaults: Defaults) -> dict[str, str]:
    """Each argument as text that is equal exactly where the values are; those that repeat a default are left out."""
    known = {name: canonical(value) for name, value in defaults.get(call.name, {}).items()}
    given = {name: canonical(value) for name, value in (call.arguments or {}).items()}
    return {name: value for name, value in given.items() if known.get(name) != value}


def canonical(value: object) -> str:
    """JSON with sorted keys in which 5 and 5.0 are the same at every depth."""
    return json.dumps(_by_value(value), sort_keys=True, default=str)


def _by_value(value: object) -> object:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, (list, tuple)):
        return [_by_value(v) for v in value]
    return {str(k): _by_value(v) for k, v in value.items()} if isinstance(value, dict) else value
