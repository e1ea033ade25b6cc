r"""Find the answer of a turn: the last ``\boxed{...}``, braces nested to any depth."""

from __future__ import annotations

import re
from collections.abc import Iterator

_MARKERS = ("\\boxed", "\\fbox")
_SIGN = re.compile(r"(\\boxed|\\fbox)|\\(?!\\boxed|\\fbox).|[{}]", re.DOTALL)
_SPACES = re.compile(r"\s*")
_BARE = re.compile(r"\S{1,200}")
"""A content without braces; longer ones are no answers."""


def extract_boxed(text: str) -> str | None:
    r"""Content of the last complete ``\boxed{...}`` in ``text``, stripped; None where there is none.

    Escaped braces (``\{``, ``\}``) do not count as nesting. ``\boxed 5`` (no braces) is accepted as LaTeX does.
    """
    last = max(boxes(text), default=None)
    return None if last is None else text[last[1] : last[2]].strip()


def boxes(text: str) -> Iterator[tuple[int, int, int]]:
    r"""Every complete ``\boxed{...}``: where it starts, and where its content starts and ends. In no order.

    One pass over the text, whatever it holds: half a megabyte of boxes that never close costs no more than prose.
    """
    if "\\boxed" not in text and "\\fbox" not in text:
        return
    opened: list[tuple[int, int] | None] = []  # a brace for each entry: of a box (its start, its content's), or of none
    pending: tuple[int, int] | None = None
    for sign in _SIGN.finditer(text):
        if sign.group(1):
            brace = _after_spaces(text, sign.end())
            if text[brace : brace + 1] == "{":
                pending = (sign.start(), brace)
            elif (token := _token(text, brace)) is not None:
                yield sign.start(), brace, brace + token
        elif sign.group() == "{":
            ours = pending is not None and pending[1] == sign.start()
            opened.append((pending[0], sign.end()) if ours and pending else None)
        elif sign.group() == "}" and opened:
            box = opened.pop()
            if box is not None:
                yield box[0], box[1], sign.start()


def _after_spaces(text: str, position: int) -> int:
    match = _SPACES.match(text, position)
    return match.end() if match else position


def _token(text: str, position: int) -> int | None:
    """Length of a content without braces, None where it is none."""
    match = _BARE.match(text, position)
    if match is None:
        return None
    token = match.group().split("$", 1)[0].rstrip(".,;")
    return None if not token or token[0].isalpha() or token.startswith(_MARKERS) else len(token)
