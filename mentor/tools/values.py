"""Values that the sandbox sends: JSON, with explicit forms for what JSON lacks (listed in the sandbox's README)."""

from __future__ import annotations

import base64
import json
from decimal import Decimal
from fractions import Fraction
from typing import Any


def decode_value(value_json: str) -> Any:
    """The Python value of a result.

    Dataclasses become their fields, NumPy arrays nested lists, dates and undescribed objects their text.
    """
    return _decode(json.loads(value_json))


def _decode(value: Any) -> Any:
    if isinstance(value, list):
        return [_decode(item) for item in value]
    if not isinstance(value, dict):
        return value
    for mark, convert in _MARKS.items():
        if mark in value:
            return convert(value)
    return {key: _decode(item) for key, item in value.items()}


def _hashable(value: Any) -> Any:
    return tuple(_hashable(item) for item in value) if isinstance(value, list) else value


_MARKS: dict[str, Any] = {
    "__float__": lambda v: float(v["__float__"]),
    "__int__": lambda v: int(v["__int__"], 16),
    "__complex__": lambda v: complex(*(_decode(part) for part in v["__complex__"])),
    "__bytes__": lambda v: base64.b64decode(v["__bytes__"]),
    "__set__": lambda v: {_hashable(_decode(item)) for item in v["__set__"]},
    "__dict__": lambda v: {_hashable(_decode(key)): _decode(item) for key, item in v["__dict__"]},
    "__decimal__": lambda v: Decimal(v["__decimal__"]),
    "__fraction__": lambda v: Fraction(v["__fraction__"]),
    "__datetime__": lambda v: v["__datetime__"],
    "__dataclass__": lambda v: _decode(v["fields"]),
    "__ndarray__": lambda v: _decode(v["__ndarray__"]),
    "__repr__": lambda v: v["__repr__"],
}
