r"""Symbolic equality of two mathematical answers, by math-verify. Runs in a worker process, never in a server.

Answers come as bare LaTeX (the content of ``\boxed{}``) or as plain text, so delimiters and typesetting that carry no
value are taken off and one pair of ``$`` is put on. The parser may run for ever on hostile input: the deadline is the
caller's (``mentor.grading.judge``), which kills this process.
"""

from __future__ import annotations

import logging
import re
from decimal import Decimal, InvalidOperation
from typing import Any

_DELIMITERS = re.compile(r"\\[()\[\]]|\$")
_SPACING = re.compile(r"\\(?:left|right|big|Big|displaystyle|,|;|:|!|quad|qquad)(?![a-zA-Z])")
_THOUSANDS = re.compile(r"(?<=\d)(?:,|\{,\}|\\,)(?=\d{3}(?!\d))")
_PLAIN_NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)\Z")
_TEXT = re.compile(r"\\(?:text|mathrm|textbf|mathbf)\{([^{}]*)\}")


def clean(answer: str) -> str:
    """The answer without delimiters, spacing commands and a closing full stop."""
    bare = _SPACING.sub(" ", _DELIMITERS.sub("", answer)).strip()
    return bare[:-1].rstrip() if bare.endswith(".") and not bare[:-1].endswith("\\") else bare


def decided(prediction: str, gold: str) -> bool | None:
    """The verdict where no parser is needed: equal text, or two plain decimal numbers. None: it must be parsed."""
    left, right = _canonical(prediction), _canonical(gold)
    if left == right:
        return bool(left)
    a, b = as_number(left), as_number(right)
    return None if a is None or b is None else a == b


def _canonical(answer: str) -> str:
    return re.sub(r"\s+", "", _TEXT.sub(r"\1", clean(answer)))


def as_number(answer: str) -> Decimal | None:
    """The value of a plain decimal number (thousands separators allowed), else None."""
    plain = _THOUSANDS.sub("", answer.strip())
    if len(plain) > 400 or not _PLAIN_NUMBER.match(plain):
        return None
    try:
        return Decimal(plain)
    except InvalidOperation:
        return None


def equivalent(prediction: str, gold: str) -> tuple[bool, str]:
    """Whether the two are mathematically equal, and why: ``equal``, ``different``, ``unparsed_gold``, ``unparsed``."""
    from math_verify import verify

    wanted = _parse(gold)
    if not wanted:
        return False, "unparsed_gold"
    said = _parse(prediction)
    if not said:
        return False, "unparsed"
    equal = bool(verify(wanted, said, timeout_seconds=None, float_rounding=6))
    return equal, "equal" if equal else "different"


def _parse(answer: str) -> list[Any]:
    from math_verify import ExprExtractionConfig, LatexExtractionConfig, parse

    logging.disable(logging.WARNING)  # it warns on every call that the deadline is ours to keep
    config = [LatexExtractionConfig(), ExprExtractionConfig()]
    return list(parse(f"${clean(answer)}$", extraction_config=config, parsing_timeout=None, raise_on_error=False))
