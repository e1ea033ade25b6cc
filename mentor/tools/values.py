"""Values that the sandbox sends: JSON, with explicit forms for what JSON lacks (listed in the sandbox's README)."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any


def decode_value(value_json: str) -> Any:
    """The Python value of a result.

    Dataclasses become dictionaries of their fields, NumPy arrays nested lists, and what has no Python form its text.
    """
    return json.loads(value_json, object_hook=_revived)


def _revived(found: dict[str, Any]) -> Any:
    """An object whose parts are revived already. One that only looks like a mark comes as ``__dict__``."""
    for mark, convert in _MARKS.items():
        if mark in found:
            return convert(found[mark], found)
    return found


def _hashable(value: Any) -> Any:
    return tuple(_hashable(item) for item in value) if isinstance(value, list) else value


def _set(items: list[Any], _: dict[str, Any]) -> Any:
    """A set; a list where the items cannot be in one (a set of dataclasses, say)."""
    found = [_hashable(item) for item in items]
    try:
        return set(found)
    except TypeError:
        return found


def _dict(pairs: list[list[Any]], _: dict[str, Any]) -> Any:
    """A dictionary; the pairs where a key cannot be one."""
    try:
        return {_hashable(key): item for key, item in pairs}
    except TypeError:
        return pairs


_MARKS: dict[str, Callable[[Any, dict[str, Any]], Any]] = {
    "__float__": lambda v, _: float(v),
    "__int__": lambda v, _: int(v, 16),
    "__complex__": lambda v, _: complex(*v),
    "__bytes__": lambda v, _: base64.b64decode(v),
    "__set__": _set,
    "__dict__": _dict,
    "__decimal__": lambda v, _: Decimal(v),
    "__fraction__": lambda v, _: Fraction(v),
    "__datetime__": lambda v, _: datetime.fromisoformat(v),
    "__date__": lambda v, _: date.fromisoformat(v),
    "__time__": lambda v, _: time.fromisoformat(v),
    "__timedelta__": lambda v, _: timedelta(*v),
    "__dataclass__": lambda _, found: found["fields"],
    "__ndarray__": lambda v, _: v,
    "__numpy__": lambda v, _: v,
    "__repr__": lambda v, _: v,
}
