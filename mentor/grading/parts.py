r"""The structure of an answer: one value, several, a set, a tuple or interval, a matrix."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

MAX_PARTS = 512
"""More are compared as text alone."""


@dataclass(frozen=True)
class Parts:
    """``kind``: ``one``, ``list`` (3, 5), ``set``, ``union``, ``matrix``, ``determinant``, or the two brackets
    of a tuple or an interval (``[)``)."""

    kind: str
    items: tuple[str, ...] = ()
    columns: int = 1
    name: str | None = None
    """The variable of an inequality."""

    @property
    def unordered(self) -> bool:
        """Whether the order of the items says nothing."""
        return self.kind in ("list", "set", "union")

    @property
    def interval(self) -> bool:
        """Whether it may be an interval: two ends in brackets."""
        return self.kind in ("()", "[]", "[)", "(]") and len(self.items) == 2


_PAIRS = {"(": ")]", "[": ")]", r"\{": (r"\}",), "{": "}", r"\langle": (r"\rangle",), "<": ">"}
_TOKEN = re.compile(r"\\(?:[a-zA-Z]+|.)|[()\[\]{}<>,;]| (?:and|or|und|oder|et|ou|y|o) |.", re.DOTALL)
_OPENING, _CLOSING = frozenset(("(", "[", "{", r"\{", r"\langle")), frozenset((")", "]", "}", r"\}", r"\rangle"))
_WORDS = frozenset(f" {word} " for word in ["and", "or", "und", "oder", "et", "ou", "y", "o"])
_EMPTY = frozenset((r"\emptyset", r"\varnothing", r"\{\}", r"\{ \}", "{}"))
_MATRIX = re.compile(r"\\begin\{([pbvBV]?(?:small)?matrix|array)\}(?:\{[lcr|]{1,40}\})?(.*)\\end\{\1\}\Z", re.DOTALL)
_VARIABLE = re.compile(r"[a-zA-Z]\Z|\\[a-z]{2,6}\Z")


def parts(text: str) -> Parts:
    """Take an answer apart at its outermost level."""
    text = text.strip()
    if text in _EMPTY:
        return Parts("set")
    matrix = _matrix(text)
    if matrix is not None:
        return matrix
    united = split(text, frozenset((r"\cup",)))
    if len(united) > 1:
        return Parts("union", tuple(united))
    items = split(text, frozenset((",", ";")) | _WORDS)
    if len(items) > 1:
        return Parts("list", tuple(items))
    return _bracketed(text) or _inequality(text) or _plus_minus(text) or Parts("one", (text,))


def split(text: str, separators: frozenset[str]) -> list[str]:
    """Pieces between separators that no bracket encloses; the text alone if brackets do not match up."""
    found, depth, start = [], 0, 0
    for token in _TOKEN.finditer(text):
        sign = token.group()
        depth += (sign in _OPENING) - (sign in _CLOSING)
        if depth < 0:
            return [text]
        if depth == 0 and sign in separators:
            found.append(text[start : token.start()].strip())
            start = token.end()
    found.append(text[start:].strip())
    return [piece for piece in found if piece] if depth == 0 else [text]


def _bracketed(text: str) -> Parts | None:
    """A set, tuple or interval: the first bracket closes with the last."""
    opening = next((sign for sign in (r"\{", r"\langle", "(", "[", "{") if text.startswith(sign)), None)
    closing = next((sign for sign in (r"\}", r"\rangle", ")", "]", "}") if text.endswith(sign)), None)
    if opening is None or closing is None or closing not in _PAIRS[opening] or not _encloses(text):
        return None
    items = tuple(split(text[len(opening) : -len(closing)], frozenset((",", ";"))))
    if opening in (r"\{", "{"):
        return None if any(r"\mid" in item or "|" in item or ":" in item for item in items) else Parts("set", items)
    if len(items) < 2:
        return Parts("one", items) if opening == "(" and items else None
    return Parts("()" if opening == r"\langle" else opening + closing, items)


def _encloses(text: str) -> bool:
    """Whether the bracket that opens the text is closed by its last token only."""
    depth = 0
    end = len(text)
    for token in _TOKEN.finditer(text):
        depth += (token.group() in _OPENING) - (token.group() in _CLOSING)
        if depth <= 0:
            return depth == 0 and token.end() == end
    return False


def _matrix(text: str) -> Parts | None:
    match = _MATRIX.match(text)
    if match is None or r"\begin" in match.group(2):
        return None
    rows = [row.split("&") for row in match.group(2).split("\\\\") if row.strip()]
    if not rows or len({len(row) for row in rows}) != 1:
        return None
    determinant = match.group(1).startswith(("v", "V"))
    cells = tuple(cell.strip() for row in rows for cell in row)
    return Parts("determinant" if determinant else "matrix", cells, columns=len(rows[0]))


def _inequality(text: str) -> Parts | None:
    """``0 \\le x < 1`` and ``x > 3`` as the intervals that they are."""
    terms = list(_relations(text))
    if len(terms) == 3:
        low, first, name, second, high = terms[0][0], terms[0][1], terms[1][0], terms[1][1], terms[2][0]
        if first[0] != second[0] or not _VARIABLE.match(name):
            return None
        ends = (low, high, first, second) if first[0] == "<" else (high, low, second, first)
        return _interval(ends[0], ends[1], "=" in ends[2], "=" in ends[3], name)
    if len(terms) != 2:
        return None
    (left, sign), (right, _) = terms
    if _VARIABLE.match(right) and not _VARIABLE.match(left):
        left, right, sign = right, left, sign.translate(str.maketrans("<>", "><"))
    if not _VARIABLE.match(left):
        return None
    closed = "=" in sign
    if sign[0] == ">":
        return _interval(right, r"\infty", closed, False, left)
    return _interval(r"-\infty", right, False, closed, left)


def _relations(text: str) -> Iterator[tuple[str, str]]:
    """Terms, each with the relation behind it (the last with none): ``<``, ``<=``, ``>``, ``>=``."""
    if "=" in text.replace("<=", "").replace(">=", ""):
        return
    text = re.sub(r"\\leq?(?:slant)?(?![a-z])|<=", "\x01", text)
    text = re.sub(r"\\geq?(?:slant)?(?![a-z])|>=", "\x02", text)
    text = re.sub(r"\\lt(?![a-z])", "<", re.sub(r"\\gt(?![a-z])", ">", text))
    pieces = re.split("([\x01\x02<>])", text)
    signs = {"\x01": "<=", "\x02": ">=", "<": "<", ">": ">", "": ""}
    for index in range(0, len(pieces), 2):
        yield pieces[index].strip(), signs[pieces[index + 1] if index + 1 < len(pieces) else ""]


def _interval(low: str, high: str, low_closed: bool, high_closed: bool, name: str) -> Parts | None:
    if not low or not high:
        return None
    return Parts(("[" if low_closed else "(") + ("]" if high_closed else ")"), (low, high), name=name)


def _plus_minus(text: str) -> Parts | None:
    if r"\pm" not in text or r"\mp" in text:
        return None
    return Parts("list", (text.replace(r"\pm", "+").strip().removeprefix("+"), text.replace(r"\pm", "-")))
