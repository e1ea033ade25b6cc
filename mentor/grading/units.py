"""What stands beside a number: currencies, percent signs, degrees, units of measure and counted things.

A unit that one of two answers leaves out is no difference; two different units are. Nothing is converted: 5 m is not found
equal to 500 cm, because a question fixes the unit of its answer. Letters may be variables: a lone one is a unit only where
it is set upright (``\\text{m}``), and counted things must stand apart from their number.
"""

from __future__ import annotations

import re

PERCENT = "%"
_NAMES = {
    "usd": r"dollar dollars usd $",
    "eur": "euro euros eur €",
    "gbp": "gbp £",
    "jpy": "yen jpy ¥",
    "inr": "rupee rupees inr ₹",
    "cent": "cent cents ¢",
    PERCENT: "percent percents % percentage",
    "deg": "degree degrees deg",
    "rad": "radian radians rad",
    "mm": "mm millimeter millimeters millimetre millimetres",
    "cm": "cm centimeter centimeters centimetre centimetres",
    "m": "m meter meters metre metres",
    "km": "km kilometer kilometers kilometre kilometres",
    "in": "in inch inches",
    "ft": "ft foot feet",
    "yd": "yd yard yards",
    "mi": "mi mile miles",
    "mg": "mg milligram milligrams",
    "g": "g gram grams",
    "kg": "kg kilogram kilograms",
    "lb": "lb lbs pound pounds",
    "oz": "oz ounce ounces",
    "ml": "ml milliliter milliliters millilitre millilitres",
    "l": "l liter liters litre litres",
    "gal": "gal gallon gallons",
    "s": "s sec secs second seconds",
    "min": "min mins minute minutes",
    "h": "h hr hrs hour hours",
    "d": "day days",
    "wk": "week weeks",
    "yr": "yr yrs year years",
    "n": "n newton newtons",
    "j": "j joule joules",
    "w": "w watt watts",
    "v": "v volt volts",
    "hz": "hz hertz",
    "k": "k kelvin kelvins",
}
_CANON = {word: canon for canon, words in _NAMES.items() for word in words.split()}
_MULTIPLIERS = frozenset(
    [
        "hundred",
        "thousand",
        "million",
        "millions",
        "billion",
        "billions",
        "trillion",
        "dozen",
        "half",
        "third",
        "thirds",
        "quarter",
        "quarters",
        "squared",
        "cubed",
        "factorial",
        "base",
        "mod",
        "modulo",
        "infinity",
        "sqrt",
        "root",
        "sin",
        "cos",
        "tan",
        "cot",
        "sec",
        "csc",
        "log",
        "exp",
        "max",
        "min",
        "sup",
        "inf",
        "lim",
        "arcsin",
        "arccos",
        "arctan",
    ]
)
_ATTACHED = frozenset(["cm", "mm", "km", "kg", "ft", "usd", "eur", "gbp", "mph", "kmh", "m/s", "km/h", "km/hr"])
"""What is a unit even where it touches its number."""
_OPERATORS = frozenset(
    [
        "or",
        "and",
        "not",
        "no",
        "if",
        "when",
        "unless",
        "more",
        "less",
        "fewer",
        "greater",
        "than",
        "to",
        "plus",
        "minus",
        "times",
        "divided",
        "over",
        "but",
        "except",
        "nor",
        "between",
        "at",
        "least",
        "most",
        "about",
        "wrong",
        "incorrect",
    ]
)
_NUMBER = (
    r"[-+]?\$?(?:\d[\d.,]*(?:\s?\\frac\{\d+\}\{\d+\}|\s\d+/\d+|/\d+)?|\\frac\{[-\d.]+\}\{[-\d.]+\})"
    r"(?:\\times 10\^\{-?\d+\})?"
)
_TRAILING = re.compile(rf"\A({_NUMBER})\s*(.*)\Z", re.DOTALL)
_POWER = re.compile(r"\^?\{?([23])\}?\Z")
_CURRENCY = re.compile(r"\A(-?)\s*(?:\\?([$€£¥₹])|(?:US|USD|EUR|GBP)\s*\\?\$?)\s*(?=[-\d.\\])")


def take_currency(text: str) -> tuple[str, str | None]:
    """Without a currency in front, and which it was."""
    match = _CURRENCY.match(text)
    if match is None:
        return text, None
    sign = match.group(2)
    return match.group(1) + text[match.end() :], _CANON[sign] if sign else match.group().strip("-\\$ ").lower()


def take_unit(text: str) -> tuple[str, str | None]:
    """The number alone and its unit; the text and None where it is no number followed by a unit."""
    match = _TRAILING.match(text)
    if match is None or not match.group(2):
        return text, None
    number, rest = match.group(1).rstrip(".,"), match.group(2)
    apart = text[match.end(1)].isspace() or not rest[0].isascii()
    unit = measure(rest, upright=False, apart=apart) or (_things(rest) if apart else None)
    return (text, None) if unit is None else (number, unit)


def measure(words: str, *, upright: bool = True, apart: bool = True) -> str | None:
    """The one name of a unit of measure however it is written, None if it is none.

    ``upright``: single letters are units. ``apart``: there is a space between it and its number.
    """
    words = words.strip().rstrip(".").strip().lower()
    power = _POWER.search(words)
    base = (words[: power.start()] if power else words).strip()
    for prefix, exponent in (("square ", "2"), ("sq ", "2"), ("cubic ", "3"), ("cu ", "3")):
        if base.startswith(prefix) and base.removeprefix(prefix) in _CANON:
            return _CANON[base.removeprefix(prefix)] + exponent
    known = _known(base, upright)
    if known is None or not (upright or apart or base in _ATTACHED or len(base) > 2):
        return None
    return known + (power.group(1) if power else "")


def _known(base: str, upright: bool) -> str | None:
    base = {"mph": "mi/h", "kmh": "km/h", "kph": "km/h", "kmph": "km/h"}.get(base, base)
    over, slash, under = base.replace(" per ", "/").partition("/")
    if slash:
        left, right = _CANON.get(over.strip()), _CANON.get(under.strip())
        variables = len(over) == 1 or len(under) == 1
        return f"{left}/{right}" if left and right and (upright or not variables or base in _ATTACHED) else None
    return None if len(base) == 1 and base.isalpha() and not upright else _CANON.get(base)


def _things(words: str) -> str | None:
    """Counted things: a few plain words of which none changes what the number says."""
    words = words.strip().lower()
    if not words.isascii():
        return words if len(words) <= 3 and all("一" <= c <= "鿿" for c in words) else None
    parts = words.replace("-", " ").split()
    if not parts or len(parts) > 6 or not all(part.isalpha() for part in parts):
        return None
    if any(
        (len(part) < 3 and part not in ("in", "of")) or part in _OPERATORS or part in _MULTIPLIERS for part in parts
    ):
        return None
    return " ".join(part.rstrip("s") for part in parts)
