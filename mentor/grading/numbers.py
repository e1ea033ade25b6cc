"""Exact values of answers that are plain numbers: whole, decimal, fractions, powers of ten."""

from __future__ import annotations

import re
from fractions import Fraction

MAX_DIGITS = 400
_DECIMAL = r"[-+]?\s?(?:\d+\.?\d*|\.\d+)"
_NUMBER = re.compile(
    rf"(?P<number>{_DECIMAL})(?:\s*/\s*(?P<over>\d+\.?\d*))?"
    r"(?:\s*(?:\\times|\\cdot|\*)\s*10\s*\^\s*\{?\s*(?P<ten>[-+]?\s?\d{1,3})\s*\}?)?\Z"
    rf"|(?P<sign>[-+]?)\s?\\frac\s?\{{(?P<upper>\s?{_DECIMAL})\s?\}}\s?\{{\s?(?P<lower>{_DECIMAL})\s?\}}\Z"
    r"|10\s?\^\s?\{?(?P<power>[-+]?\d{1,3})\}?\Z"
)


def number(text: str) -> Fraction | None:
    """The value, None where the text is no plain number (or divides by zero)."""
    if len(text) > MAX_DIGITS or not text[-1:] or not (text[-1].isdigit() or text[-1] in "}."):
        return None
    match = _NUMBER.match(text)
    if match is None or not text.isascii():
        return None
    try:
        return _value(match)
    except ZeroDivisionError:
        return None


def _value(match: re.Match[str]) -> Fraction:
    group = {key: value.replace(" ", "") for key, value in match.groupdict().items() if value is not None}
    if "power" in group:
        return Fraction(10) ** int(group["power"])
    if "upper" in group:
        value = Fraction(_plain(group["upper"])) / Fraction(_plain(group["lower"]))
        return -value if group.get("sign") == "-" else value
    value = Fraction(_plain(group["number"])) / Fraction(_plain(group.get("over", "1")))
    return value * Fraction(10) ** int(group.get("ten", "0"))


def _plain(decimal: str) -> str:
    return decimal.rstrip(".") if decimal.endswith(".") else decimal
