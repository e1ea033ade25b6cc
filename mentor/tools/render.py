"""What the model reads as the result of a call: one place, so that every service shows the same text.

A result is its JSON encoding (``5``, ``2.0``, ``[1, 2]``), except that strings are shown raw. An error is one line that
begins with ``Error:``. A falsy result is a result: 0 is shown as ``0``, an empty string as an empty string.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

ERROR_PREFIX = "Error: "


def render_value(value: Any) -> str:
    """Text of a result. What JSON cannot hold is shown as ``str`` shows it."""
    if isinstance(value, str):
        return value
    try:
        return json.dumps(value, ensure_ascii=False, default=str)
    except TypeError:
        # Keys that JSON has no form for (tuples, say).
        return str(value)


def render_passages(passages: Sequence[str]) -> str:
    """Text of a search result: the passages, joined by blank lines."""
    return "\n\n".join(passages)


def render_error(error_type: str, name: str, detail: str = "") -> str:
    """Text of a failed call.

    Args:
        error_type: as in ``Observation.error_type``.
        name: the tool that was called; may be empty for a malformed call.
        detail: what was wrong, one line.
    """
    if error_type == "unknown_tool":
        return f"{ERROR_PREFIX}unknown tool {name!r}"
    if error_type == "invalid_arguments":
        return f"{ERROR_PREFIX}invalid arguments for {name}: {detail}"
    if error_type == "malformed_call":
        return f"{ERROR_PREFIX}malformed tool call: {detail}"
    return ERROR_PREFIX + (detail or error_type)
