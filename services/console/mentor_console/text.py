"""Text that anybody may have written, as a page shows it: what has no look of its own, or changes that of others, gets one."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any

from markupsafe import Markup

_UNSEEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff\U000e0000-\U000e007f]"
)
"""Controls (ANSI's among them), marks that turn the direction of writing, what is invisible, halves of characters."""
_DEEP = 30


def visible(text: str) -> str:
    """The text with names in place of characters that cannot be seen or that would change how others are seen."""
    return _UNSEEN.sub(_name, text.replace("\r\n", "\n"))


def shown(value: Any) -> Any:
    """For templates: every text that is no markup of ours, made visible."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _name(found: re.Match[str]) -> str:
    code = ord(found[0])
    return chr(0x2400 + code) if code < 0x20 else f"⟨U+{code:04X}⟩"


def pretty(value: Any) -> str:
    """JSON over several lines; in one where it is deep, because indentation would make it longer than it is."""
    try:
        return json.dumps(value, ensure_ascii=False, indent=2 if _depth(value) < _DEEP else None)
    except (ValueError, RecursionError, TypeError):
        return "(too deep to be shown: see the JSON)"


def _depth(value: Any) -> int:
    depth, level = 0, [value]
    while level and depth < _DEEP:
        depth += 1
        level = [
            item
            for part in level
            for item in (part.values() if isinstance(part, dict) else part if isinstance(part, list) else ())
        ]
    return depth


def iso(seconds: float) -> str:
    """A time as ``<time datetime>`` has it; scripts show it in the reader's zone."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
