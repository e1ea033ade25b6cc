r"""Equality of two mathematical answers: by form where that suffices, else by math-verify.

``decided`` runs anywhere and takes time linear in the answers' length. ``equivalent`` runs in a worker process, never in a
server: the parser may run for ever on hostile input, and the deadline is the caller's (``mentor.grading.judge``), which
kills the process.
"""

from __future__ import annotations

import logging
import re
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any

from mentor.grading.comparison import same
from mentor.grading.form import clean, form

MAX_ANSWER_CHARS = 4000
_PLAIN_NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)\Z")

__all__ = ["MAX_ANSWER_CHARS", "clean", "decided", "equivalent"]


class _NeedsAlgebra(Exception):
    """Values must be compared that are no plain numbers."""


def decided(prediction: str, gold: str) -> bool | None:
    """The verdict where no parser is needed. None: it must be parsed."""
    left, right = _plain(prediction), _plain(gold)
    if left is not None and right is not None:
        return left == right
    if len(prediction) > MAX_ANSWER_CHARS or len(gold) > MAX_ANSWER_CHARS:
        return None
    try:
        return same(form(prediction), form(gold), _give_up)
    except _NeedsAlgebra:
        return None


def _give_up(said: str, wanted: str) -> bool:
    raise _NeedsAlgebra


def _plain(answer: str) -> Decimal | None:
    """The value of a plain decimal number: the most frequent answer takes the shortest way."""
    bare = answer.strip()
    if len(bare) > 400 or not bare.isascii() or not _PLAIN_NUMBER.match(bare):
        return None
    try:
        return Decimal(bare)
    except InvalidOperation:
        return None


def equivalent(prediction: str, gold: str) -> tuple[bool, str]:
    """Whether the two are mathematically equal, and why: ``equal``, ``different``, ``unparsed_gold``, ``unparsed``."""
    reasons: list[str] = []

    def algebra(said: str, wanted: str) -> bool:
        equal, reason = _verified(said, wanted)
        reasons.append(reason)
        return equal

    equal = same(form(prediction), form(gold), algebra)
    return equal, "equal" if equal else _most_telling(reasons)


def _most_telling(reasons: list[str]) -> str:
    """Of a wrong answer's comparisons: a value that could not be read explains more than one that differs."""
    return next((reason for reason in ("unparsed_gold", "unparsed") if reason in reasons), "different")


def _verified(said: str, wanted: str) -> tuple[bool, str]:
    from math_verify import verify

    golds = _parse(wanted)
    if not golds:
        return False, "unparsed_gold"
    answers = _parse(said)
    if not answers:
        return False, "unparsed"
    equal = bool(verify(list(golds), list(answers), timeout_seconds=None, float_rounding=6))
    return equal, "equal" if equal else "different"


@lru_cache(maxsize=512)
def _parse(text: str) -> tuple[Any, ...]:
    """What math-verify reads; kept, because a question's samples all meet the same accepted answer."""
    from latex2sympy2_extended import NormalizationConfig
    from math_verify import LatexExtractionConfig, parse

    logging.disable(logging.WARNING)  # it warns on every call that the deadline is ours to keep
    # Units are taken off before: its own list takes the variable m for metres.
    reading = NormalizationConfig(basic_latex=True, units=False, malformed_operators=True, nits=True, boxed="none")
    config = [LatexExtractionConfig(normalization_config=reading)]
    return tuple(parse(f"${text}$", extraction_config=config, parsing_timeout=None, raise_on_error=False))
