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


def words(text: str) -> list[str]:
    """Words in lower case, without marks; numbers as they are, without commas in thousands."""
    plain = unicodedata.normalize("NFKC", _COMMA.sub("", text)).casefold()
    return _WORD.findall(plain)


def numbers(text: str) -> Iterator[Fraction]:
    """Exact values of the numbers in a text: whole, decimal, fractions; a minus between two numbers is one of subtraction."""
    plain = _COMMA.sub("", text).replace("−", "-")
    for found in _NUMBER.finditer(plain):
        written = found.group(0).replace(" ", "")
        before = plain[: found.start()].rstrip()[-1:]
        if written.startswith("-") and (before.isdigit() or before == ")"):
            written = written[1:]
        value = number(written) if len(written) <= _LONGEST else None
        if value is not None:
            yield value
            if "/" in written:  # "12/3" names 12 and 3 as well
                yield from (Fraction(part.strip("-") or 0) for part in written.split("/"))


def number_counts(text: str) -> Counter[Fraction]:
    """How often each number stands in a text."""
    return Counter(numbers(text))


def spoken(turn: Turn) -> str:
    """What the model said in a turn: no reasoning, no calls."""
    return parse_turn(turn.text).content
