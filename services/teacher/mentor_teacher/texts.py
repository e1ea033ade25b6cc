"""Words, numbers and what a teacher said: what filters look at in texts."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from fractions import Fraction

from mentor.chat import parse_turn
from mentor.grading.numbers import number
from mentor.trajectory import Turn

_WORD = re.compile(r"\w+(?:['’.]\w+)*")
_COMMA = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_NUMBER = re.compile(r"(?<![\w.])[-−]?\d+(?:\.\d+)?(?:\s*/\s*\d+)?|\\frac\s*\{\s*-?\d+\s*\}\s*\{\s*\d+\s*\}")
_LONGEST = 40
_ENDS = tuple("0123456789)")


def words(text: str) -> list[str]:
    """Words in lower case, without marks; numbers as they are, without commas in thousands."""
    plain = unicodedata.normalize("NFKC", _COMMA.sub("", text)).casefold()
    return _WORD.findall(plain)


def numbers(text: str) -> Iterator[Fraction]:
    """Exact values of the numbers in a text: whole, decimal, fractions.

    ``84/2`` names 84 and 2, and is a sum to be done; ``1/2``, which cannot be reduced, is a number of its own as well. A minus
    after a number is one of subtraction.
    """
    plain = _COMMA.sub("", text).replace("−", "-")
    for found in _NUMBER.finditer(plain):
        written = found.group(0).replace(" ", "")
        if written.startswith("-") and plain[: found.start()].rstrip()[-1:] in _ENDS:
            written = written[1:]
        if len(written) > _LONGEST:
            continue
        upper, slash, lower = written.partition("/")
        parts = [number(part) for part in ((upper, lower) if slash else (written,))]
        yield from (value for value in parts if value is not None)
        whole = number(written) if slash else None
        if whole is not None and "." not in written and whole.denominator == int(lower) != 1:
            yield whole


def number_counts(text: str) -> Counter[Fraction]:
    """How often each number stands in a text."""
    return Counter(numbers(text))


def spoken(turn: Turn) -> str:
    """What the model said in a turn: no reasoning, no calls."""
    return parse_turn(turn.text).content
