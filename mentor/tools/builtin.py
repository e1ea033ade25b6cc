"""Specs of the built-in tools: the 12 math functions and ``wikipedia_search``."""

from __future__ import annotations

import inspect
from typing import Any

from mentor.tools import math_tools
from mentor.tools.spec import ToolSpec

_MATH_NAMES = (
    "add", "subtract", "multiply", "divide", "sum_numbers", "floor",
    "ceil", "round_number", "power", "sqrt", "abs_value", "modulo",
)  # fmt: skip
_NUMBER: dict[str, Any] = {"type": "number"}
_NUMBERS: dict[str, Any] = {"type": "array", "items": {"type": "number"}}

MATH_SOURCE = inspect.getsource(math_tools)


def _math_spec(name: str) -> ToolSpec:
    function = getattr(math_tools, name)
    names = list(inspect.signature(function).parameters)
    properties = {n: _NUMBERS if n == "numbers" else _NUMBER for n in names}
    parameters = {"type": "object", "properties": properties, "required": names}
    return ToolSpec(name=name, description=inspect.getdoc(function) or "", parameters=parameters, source=MATH_SOURCE)


MATH_TOOLS: tuple[ToolSpec, ...] = tuple(_math_spec(name) for name in _MATH_NAMES)

WIKIPEDIA_SEARCH = ToolSpec(
    name="wikipedia_search",
    description="Search Wikipedia for passages.",
    parameters={
        "type": "object",
        "properties": {"query": {"type": "string"}, "top_n": {"type": "integer", "default": 5}},
        "required": ["query"],
    },
    backend="retriever",
    timeout_s=10.0,
)
