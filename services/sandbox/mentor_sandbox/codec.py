"""Values as JSON: equal where JSON can hold them, explicit where it cannot. Standard library only.

JSON's own values (null, booleans, finite numbers of any size, strings, lists, objects with string keys) stand for
themselves; a tuple is a list, as JSON has it. Everything else is an object with one ``__kind__`` key:

=================  =======================================================================
inf, -inf, nan     ``{"__float__": "inf"}``
huge integer       ``{"__int__": "0x..."}`` (beyond 4,000 digits, where Python refuses decimal)
complex            ``{"__complex__": [re, im]}``
bytes              ``{"__bytes__": "<base64>"}``
set, frozenset     ``{"__set__": [...]}`` (sorted where the items can be)
other keys         ``{"__dict__": [[key, value], ...]}`` (also for an object that looks like one of these)
Decimal, Fraction  ``{"__decimal__": "1.10"}``, ``{"__fraction__": "1/3"}``
date and time      ``{"__datetime__": "2018-12-01T00:00:00"}`` (ISO 8601)
dataclass          ``{"__dataclass__": "Name", "fields": {...}}``
NumPy array        ``{"__ndarray__": [...], "dtype": "float64"}`` (a NumPy scalar is its Python value)
anything else      ``{"__repr__": "<first 1,000 characters>", "type": "module.Name"}``
=================  =======================================================================
"""

from __future__ import annotations

import base64
import dataclasses
import math
from datetime import date, datetime, time
from decimal import Decimal
from fractions import Fraction
from json import dumps
from typing import Any

MAX_DEPTH = 200
MAX_REPR = 1000
_HUGE_BITS = 13000
_MARKS = frozenset(
    (
        *("__float__", "__int__", "__complex__", "__bytes__", "__set__", "__dict__"),
        *("__decimal__", "__fraction__", "__datetime__", "__dataclass__", "__ndarray__", "__repr__"),
    )
)


def encode(value: Any) -> str:
    """JSON text of a value, ASCII only, so that lone surrogates survive too."""
    return dumps(_plain(value, 0), ensure_ascii=True, allow_nan=False, separators=(",", ":"))


def _plain(value: Any, depth: int) -> Any:
    kind = type(value)
    if value is None or kind is bool or kind is str:
        return value
    if kind is int:
        return value if value.bit_length() < _HUGE_BITS else {"__int__": hex(value)}
    if kind is float:
        return value if math.isfinite(value) else {"__float__": repr(value)}
    if depth > MAX_DEPTH:
        return _described(value)
    if kind is list or kind is tuple:
        return [_plain(item, depth + 1) for item in value]
    if kind is dict:
        return _mapping(value, depth)
    return _special(value, depth)


def _mapping(value: dict[Any, Any], depth: int) -> Any:
    if all(type(key) is str for key in value) and not (_MARKS & value.keys()):
        return {key: _plain(item, depth + 1) for key, item in value.items()}
    return {"__dict__": [[_plain(key, depth + 1), _plain(item, depth + 1)] for key, item in value.items()]}


def _special(value: Any, depth: int) -> Any:
    if isinstance(value, (set, frozenset)):
        return {"__set__": [_plain(item, depth + 1) for item in _ordered(value)]}
    if isinstance(value, complex):
        return {"__complex__": [_plain(value.real, depth + 1), _plain(value.imag, depth + 1)]}
    if isinstance(value, (bytes, bytearray, memoryview)):
        return {"__bytes__": base64.b64encode(bytes(value)).decode("ascii")}
    if isinstance(value, Decimal):
        return {"__decimal__": str(value)}
    if isinstance(value, Fraction):
        return {"__fraction__": f"{value.numerator}/{value.denominator}"}
    if isinstance(value, (datetime, date, time)):
        return {"__datetime__": value.isoformat()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {f.name: _plain(getattr(value, f.name), depth + 1) for f in dataclasses.fields(value)}
        return {"__dataclass__": type(value).__name__, "fields": fields}
    if type(value).__module__ == "numpy":
        return _numpy(value, depth)
    return _builtin_subclass(value, depth)


def _numpy(value: Any, depth: int) -> Any:
    if hasattr(value, "tolist") and hasattr(value, "dtype"):
        content = _plain(value.tolist(), depth + 1)
        return content if value.ndim == 0 else {"__ndarray__": content, "dtype": str(value.dtype)}
    return _described(value)


def _builtin_subclass(value: Any, depth: int) -> Any:
    """Enums, named tuples, defaultdicts: the value of the built-in type they extend."""
    bases: tuple[Any, ...] = (bool, int, float, str, dict, list, tuple)
    for base in bases:
        if isinstance(value, base):
            return _plain(base(value), depth + 1)
    return _described(value)


def _ordered(items: Any) -> list[Any]:
    try:
        return sorted(items)
    except TypeError:
        return list(items)


def _described(value: Any) -> dict[str, str]:
    kind = type(value)
    try:
        text = repr(value)
    except Exception as error:
        text = f"<{kind.__name__} whose repr raised {type(error).__name__}>"
    return {"__repr__": text[:MAX_REPR], "type": f"{kind.__module__}.{kind.__qualname__}"}
