"""Server and child. Values as JSON: equal where JSON can hold them, explicit where it cannot. Standard library only.

JSON's own values (null, booleans, finite numbers, -0.0 among them, strings with lone surrogates, lists, objects with
string keys) stand for themselves; integers and floats stay apart. A tuple is a list, as JSON has it, and an instance of
a subclass of a built-in type (enums, named tuples, default dictionaries) is the built-in value that it holds.
Everything else is an object with one ``__kind__`` key, lossless unless it says otherwise:

=================  =======================================================================
inf, -inf, nan     ``{"__float__": "inf"}``
huge integer       ``{"__int__": "0x..."}`` (from 13,000 bits on; JSON parsers refuse long ones)
complex            ``{"__complex__": [re, im]}``
bytes              ``{"__bytes__": "<base64>"}`` (also bytearray and memoryview)
set, frozenset     ``{"__set__": [...]}`` (sorted where the items can be)
other keys         ``{"__dict__": [[key, value], ...]}`` (also for an object that looks like one of these)
Decimal, Fraction  ``{"__decimal__": "1.10"}``, ``{"__fraction__": "1/3"}``
date and time      ``{"__datetime__": ISO 8601}``, ``__date__``, ``__time__`` (a zone is kept as its offset),
                   ``{"__timedelta__": [days, seconds, microseconds]}``
dataclass          ``{"__dataclass__": "Name", "fields": {...}}``
NumPy array        ``{"__ndarray__": [...], "dtype": "float64"}``, with ``"shape"`` where it has no elements; dates and
                   durations in units of their type, as integers
NumPy scalar       its Python value, or ``{"__numpy__": text, "dtype": ...}`` where Python has none (dates, long doubles)
anything else      ``{"__repr__": "<first 1,000 characters>", "type": "module.Name"}``: a description, not the value.
                   So is a container that holds itself, or lies deeper than ``MAX_DEPTH`` (``MAX_PLAIN_DEPTH`` for
                   values that are JSON's own throughout).
=================  =======================================================================

A value cannot lie about what it is: types are asked, never ``__class__``, and what a subclass overrides is not called.
"""

from __future__ import annotations

import base64
import dataclasses
import math
from collections import OrderedDict
from collections.abc import Iterable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from json import dumps
from typing import Any

MAX_DEPTH = 200
MAX_PLAIN_DEPTH = 800
MAX_REPR = 1000
_HUGE_BITS = 13000
_MARKS = frozenset(
    (
        *("__float__", "__int__", "__complex__", "__bytes__", "__set__", "__dict__", "__decimal__", "__fraction__"),
        *("__datetime__", "__date__", "__time__", "__timedelta__", "__dataclass__", "__ndarray__", "__numpy__"),
        "__repr__",
    )
)
_SCALARS = frozenset((str, bool, type(None)))


def encode(value: Any) -> str:
    """JSON text of a value, ASCII only, so that lone surrogates survive too."""
    plain = value if _is_plain(value) else _plain(value, ())
    return dumps(plain, ensure_ascii=True, allow_nan=False, separators=(",", ":"))


def _is_plain(value: Any) -> bool:
    """Whether a value is JSON's own throughout, and not too deep (what holds itself is)."""
    pending: list[tuple[Iterable[Any], int]] = [((value,), 0)]
    while pending:
        items, depth = pending.pop()
        if depth > MAX_PLAIN_DEPTH:
            return False
        for item in items:
            kind = type(item)
            if kind in _SCALARS:
                continue
            if kind is int:
                if item.bit_length() >= _HUGE_BITS:
                    return False
            elif kind is float:
                if not math.isfinite(item):
                    return False
            elif kind is list:
                pending.append((item, depth + 1))
            elif kind is dict:
                if any(type(key) is not str for key in item) or not _MARKS.isdisjoint(item):
                    return False
                pending.append((item.values(), depth + 1))
            else:
                return False
    return True


def _plain(value: Any, path: tuple[int, ...]) -> Any:
    """A value as JSON holds it; ``path`` are the containers that it lies in."""
    kind = type(value)
    if value is None or kind is bool or kind is str:
        return value
    if kind is int:
        return value if value.bit_length() < _HUGE_BITS else {"__int__": hex(value)}
    if kind is float:
        return value if math.isfinite(value) else {"__float__": repr(value)}
    if len(path) > MAX_DEPTH or id(value) in path:
        return _described(value)
    inner = (*path, id(value))
    if kind is list or kind is tuple:
        return [_plain(item, inner) for item in value]
    if kind is dict:
        return _mapping(value.items(), inner)
    try:
        return _special(value, kind, inner)
    except MemoryError:
        raise
    except Exception:
        # A value that cannot be read (a property that raises, a dataclass that is none) is described.
        return _described(value)


def _mapping(pairs: Iterable[tuple[Any, Any]], path: tuple[int, ...]) -> Any:
    items = list(pairs)
    if all(type(key) is str for key, _ in items) and not any(key in _MARKS for key, _ in items):
        return {key: _plain(item, path) for key, item in items}
    return {"__dict__": [[_plain(key, path), _plain(item, path)] for key, item in items]}


def _special(value: Any, kind: type[Any], path: tuple[int, ...]) -> Any:
    if issubclass(kind, (set, frozenset)):
        base = set if issubclass(kind, set) else frozenset
        return {"__set__": [_plain(item, path) for item in _ordered(list(base.__iter__(value)))]}
    if issubclass(kind, complex):
        return {"__complex__": [_plain(complex.__complex__(value).real, path), _plain(value.imag, path)]}
    if issubclass(kind, (bytes, bytearray, memoryview)):
        return {"__bytes__": base64.b64encode(bytes(memoryview(value))).decode("ascii")}
    if issubclass(kind, (Decimal, Fraction, datetime, date, time, timedelta)):
        return _number_or_time(value, kind)
    if kind.__module__ == "numpy":
        return _numpy(value, path)
    if dataclasses.is_dataclass(kind):
        fields = {f.name: _plain(getattr(value, f.name), path) for f in dataclasses.fields(value)}
        return {"__dataclass__": kind.__name__, "fields": fields}
    return _builtin_subclass(value, kind, path)


def _number_or_time(value: Any, kind: type[Any]) -> dict[str, Any]:
    if issubclass(kind, Decimal):
        return {"__decimal__": Decimal.__str__(value)}
    if issubclass(kind, Fraction):
        return {"__fraction__": f"{value.numerator}/{value.denominator}"}
    if issubclass(kind, datetime):
        return {"__datetime__": datetime.isoformat(value)}
    if issubclass(kind, date):
        return {"__date__": date.isoformat(value)}
    if issubclass(kind, time):
        return {"__time__": time.isoformat(value)}
    return {"__timedelta__": [value.days, value.seconds, value.microseconds]}


def _numpy(value: Any, path: tuple[int, ...]) -> Any:
    if not (hasattr(value, "tolist") and hasattr(value, "dtype")):
        return _described(value)
    dtype = value.dtype
    if value.ndim == 0:
        native = value.tolist()
        lossy = dtype.kind in "mM" or type(native).__module__ == "numpy"
        return {"__numpy__": str(value), "dtype": str(dtype)} if lossy else _plain(native, path)
    content = value.astype("int64") if dtype.kind in "mM" else value
    found = {"__ndarray__": _plain(content.tolist(), path), "dtype": str(dtype)}
    return found | ({"shape": list(value.shape)} if value.size == 0 else {})


def _builtin_subclass(value: Any, kind: type[Any], path: tuple[int, ...]) -> Any:
    """The value of the built-in type that it extends, read by that type's own methods."""
    if issubclass(kind, int):
        return _plain(int.__int__(value), path)
    if issubclass(kind, float):
        return _plain(float.__float__(value), path)
    if issubclass(kind, str):
        return str.__str__(value)
    if issubclass(kind, dict):
        return _mapping(value.items() if kind is OrderedDict else dict.items(value), path)
    if issubclass(kind, list):
        return [_plain(item, path) for item in list.__getitem__(value, slice(None))]
    if issubclass(kind, tuple):
        return [_plain(item, path) for item in tuple.__getitem__(value, slice(None))]
    return _described(value)


def _ordered(items: list[Any]) -> list[Any]:
    try:
        return sorted(items)
    except Exception:
        return items


def _described(value: Any) -> dict[str, str]:
    kind = type(value)
    try:
        text = repr(value)
    except MemoryError:
        raise
    except BaseException as error:
        text = f"<{kind.__name__} whose repr raised {type(error).__name__}>"
    return {"__repr__": text[:MAX_REPR], "type": f"{kind.__module__}.{kind.__qualname__}"}
