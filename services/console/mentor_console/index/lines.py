"""Lines of JSON that anybody may have written: bytes that are no text, halves of characters, depths that no parser takes."""

from __future__ import annotations

import json
import re
from typing import Any

from pydantic_core import from_json

_HALVES = re.compile("[\ud800-\udfff]")
_MARK = b"\\ud"
LONGEST = 16 * 1024 * 1024
"""Of a line that is read: what Python makes of it takes many times as much."""


class UnreadableError(ValueError):
    """A line that is no JSON object, or one too deep to be read."""


def read(line: bytes) -> dict[str, Any]:
    """The object of a line; what is no Unicode in it becomes U+FFFD.

    Raises:
        UnreadableError: there is none, or it is too long.
    """
    if len(line) >= LONGEST:
        raise UnreadableError(f"longer than {LONGEST} bytes")
    try:
        found = from_json(line)
    except ValueError:
        found = _slowly(line)
    if not isinstance(found, dict):
        raise UnreadableError("not an object")
    return found


def _slowly(line: bytes) -> Any:
    """What the quick parser refuses and JSON of Python's kind allows: halves of pairs, broken UTF-8."""
    try:
        found = json.loads(line.decode("utf-8", "replace"))
        return whole(found) if _MARK in line.lower() else found
    except (ValueError, RecursionError) as error:
        raise UnreadableError(str(error) or "too deep") from None


def whole(value: Any) -> Any:
    """The same without halves of surrogate pairs, which no page and no file can hold."""
    if isinstance(value, str):
        return _HALVES.sub("\ufffd", value)
    if isinstance(value, list):
        return [whole(item) for item in value]
    if isinstance(value, dict):
        return {whole(name): whole(item) for name, item in value.items()}
    return value
