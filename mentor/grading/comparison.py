r"""Whether two answers say the same, up to values that only an algebra system can compare.

Structure decides first: how many answers there are, whether their order counts, which ends an interval includes, which unit
was named. What is left are pairs of single values, and those that are no plain numbers go to ``scalar``.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence

from mentor.grading.form import Form, form
from mentor.grading.numbers import number
from mentor.grading.parts import MAX_PARTS, Parts, parts

Scalar = Callable[[str, str], bool]
"""Tells whether two single values (prediction, accepted answer) are equal. It may raise to give the whole comparison up."""

_DEPTH = 4
_PAIRINGS = 16
_RUN = re.compile(r"(?<!\\)(?<![a-zA-Z\\])[a-zA-Z]{4,}")
_COMMAND = re.compile(r"\\[a-zA-Z]+")
_FUNCTIONS = frozenset(["sqrt", "frac", "sinh", "cosh", "tanh", "arcsin", "arccos", "arctan"])
_SHORT_WORDS = frozenset(["yes", "no", "odd", "dne", "all"])
_CAPITALS = re.compile(r"[A-Z]{2,}\Z")
"""Points that name a segment or a triangle, or a word: their order counts."""
_BASED = re.compile(r"[0-9A-Fa-f]+\s?_\s?\{?\s?\d+\s?\}?\Z")


def same(said: Form, wanted: Form, scalar: Scalar, depth: int = 0) -> bool:
    """Whether a prediction equals an accepted answer. Raises what ``scalar`` raises."""
    if said.unit and wanted.unit and said.unit != wanted.unit:
        return False
    if _other_name(said.name, wanted.name):
        return False
    if said.percent != wanted.percent:
        shared = _percent(said, wanted)
        if shared is not None:
            return shared
    return _same_parts(said.text, wanted.text, scalar, depth)


def _other_name(said: str | None, wanted: str | None) -> bool:
    """``y = 5`` does not answer what ``x = 5`` answers; longer names (f(x), an angle) are descriptions."""
    return said is not None and wanted is not None and len(said) == len(wanted) == 1 and said != wanted


def _percent(said: Form, wanted: Form) -> bool | None:
    """One of them is a percentage: 25% is 0.25, and 25 where percent is asked for; 0.5% is not 0.5. None: no numbers."""
    left, right = number(said.text), number(wanted.text)
    if left is None or right is None:
        return None
    percentage, plain = (left, right) if said.percent else (right, left)
    return percentage / 100 == plain or (percentage == plain and (wanted.percent or abs(plain) > 1))


def _same_parts(said: str, wanted: str, scalar: Scalar, depth: int) -> bool:
    if _canonical(said) == _canonical(wanted):
        return bool(_canonical(said))
    left, right = parts(said), parts(wanted)
    if depth >= _DEPTH or max(len(left.items), len(right.items)) > MAX_PARTS:
        return False
    if left.kind == right.kind == "one":
        return _same_value(left.items[0], right.items[0], scalar)
    if not _alike(left, right):
        return False
    if _one_sided(left, right):
        return scalar(said, wanted)
    if len(left.items) != len(right.items):
        return left.kind == right.kind == "union" and scalar(said, wanted)
    if left.unordered and right.unordered:
        return _same_set(left.items, right.items, scalar, depth)
    pairs = zip(left.items, right.items, strict=True)
    return all(same(form(one), form(other), scalar, depth + 1) for one, other in pairs)


def _alike(left: Parts, right: Parts) -> bool:
    """Whether two structures can be equal at all."""
    kinds = {left.kind, right.kind}
    if left.name and right.name and left.name != right.name:
        return False
    if left.kind == right.kind:
        return left.kind != "matrix" or left.columns == right.columns
    if "one" in kinds:
        return ("list" not in kinds and "()" not in kinds) or left.interval or right.interval
    if kinds == {"list", "union"}:
        return True  # x < 1 or x > 3
    if "union" in kinds:
        return left.interval or right.interval or "set" in kinds
    if kinds == {"list", "set"}:
        return True
    if kinds == {"matrix", "()"}:
        return any(p.kind == "matrix" and (p.columns == 1 or p.columns == len(p.items)) for p in (left, right))
    if "()" in kinds and "list" in kinds:
        return True
    return not (left.interval or right.interval) and kinds <= {"()", "[]", "list"}


def _one_sided(left: Parts, right: Parts) -> bool:
    """Whether only algebra can tell: a value beside a structure, or a union that may have been merged."""
    kinds = {left.kind, right.kind}
    if kinds & {"one"}:
        return True
    return "determinant" in kinds or ("union" in kinds and not kinds <= {"list", "union"})


def _same_set(left: Sequence[str], right: Sequence[str], scalar: Scalar, depth: int) -> bool:
    """Whether each item on one side has its own equal on the other."""
    ours, theirs = Counter(map(_canonical, left)), Counter(map(_canonical, right))
    open_left, open_right = list((ours - theirs).elements()), list((theirs - ours).elements())
    if len(open_left) > _PAIRINGS:
        return False
    for item in open_left:
        found = next((o for o in open_right if same(form(item), form(o), scalar, depth + 1)), None)
        if found is None:
            return False
        open_right.remove(found)
    return True


def _same_value(said: str, wanted: str, scalar: Scalar) -> bool:
    if _canonical(said) == _canonical(wanted):
        return bool(_canonical(said))
    left, right = number(said), number(wanted)
    if left is not None and right is not None:
        return left == right
    if not said or not wanted:
        return False
    if _BASED.match(said) or _BASED.match(wanted):
        return False  # digits in a named base are equal as written or not at all
    if _wordy(said) or _wordy(wanted):
        return _plain_words(said) == _plain_words(wanted)
    if len(said) == len(wanted) == 1:
        return False
    return scalar(said, wanted)


def _wordy(text: str) -> bool:
    if text.lower() in _SHORT_WORDS or _CAPITALS.match(text):
        return True
    return any(run.group() not in _FUNCTIONS for run in _RUN.finditer(_COMMAND.sub(" ", text)))


def _plain_words(text: str) -> str:
    return " ".join(text.casefold().replace("\\", " ").split())


def _canonical(text: str) -> str:
    bare = "".join(text.split())
    return bare[1:-1] if len(bare) == 3 and bare[0] == "(" and bare[2] == ")" else bare
