r"""What an answer says, apart from how it is typeset: the text that carries its value, and what stands around it.

Every step looks at the text once and from one end, so the time is linear in its length whatever a model writes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from mentor.chat.answer import extract_boxed
from mentor.grading.unicode import as_latex
from mentor.grading.units import PERCENT, measure, take_currency, take_unit


@dataclass(frozen=True)
class Form:
    """``text``: LaTeX without typesetting. ``unit``: what it counts. ``name``: the x of ``x = 5``."""

    text: str
    unit: str | None = None
    name: str | None = None

    @property
    def percent(self) -> bool:
        """Whether a percent sign stood behind it."""
        return self.unit == PERCENT


_SPACING = re.compile(r"\\(?:left|right|[bB]igg?[lr]?|displaystyle|limits|quad|qquad|[,;:!> ])(?![a-zA-Z])|~")
_DELIMITERS = re.compile(r"(?<!\\)\\[()\[\]]")
_FRACTION = re.compile(r"\\[dtc]frac(?![a-zA-Z])")
_DIGIT_FRACTION = re.compile(r"\\frac\s*(\d)\s*(\d)")
_GROUPS = re.compile(r"(?<=\d)(?:,\\!|\{,\}|\\[,!;: ]|~|\u2009)(?=\d{3}(?!\d))")
_SPACED_NUMBER = re.compile(r"[-+]?\d{1,3}(?: \d{3})+(?:\.\d+)?\Z")
_COMMAS = re.compile(r"(?<!\d)(?<!\.)[1-9]\d{0,2}(?:,\d{3})+(?![\d,])")
_STYLE = r"\\(?:text(?:bf|it|rm|sf|tt|normal|up)?|math(?:rm|bf|it|sf|tt|normal)|mbox|operatorname|rm|bf|emph|mathit)"
_STYLED = re.compile(_STYLE + r"\s*\{([^{}\\]*)\}|\\overline\s*\{([A-Z]{2})\}")
_UPRIGHT_END = re.compile(_STYLE + r"\s*\{([^{}\\\d]*)\}\s*((?:\^\s*\{?[23]\}?)?)\s*\Z")
_DEGREES = re.compile(r"\s*(?:\^\s*\{?\s*\\circ\s*\}?|\\degree|\\deg(?![a-z]))\s*([CF]?)\Z")
_PERCENT = re.compile(r"\s*\\?%\Z")
_NOTE = re.compile(r"\s*\((?:approximately|approx\.?|exact|exactly|rounded|simplified)\)\Z", re.IGNORECASE)
_LEAD = re.compile(
    r"(?:(?:so|thus|hence|therefore),?\s+)?(?:the\s+)?(?:(?:final|correct)\s+)?"
    r"(?:answer|result|value|solution)\s*(?:is|equals|:|=)\s*"
    r"|the\s+[a-z]{2,20}(?:\s+[a-z]{2,20}){0,2}\s+(?:is|are|equals)\s+"
    r"|(?:there\s+(?:are|is|will\s+be)|it\s+is|it's|approximately|about|roughly|exactly|a\s+total\s+of|\\approx)\s+"
    r"|(?:最终)?答案\s*(?:是|为|:)\s*|(?:la\s+)?(?:respuesta|réponse|resposta)\s*(?:es|est|é|:)\s*|(?:die\s+)?antwort\s*(?:ist|:)\s*"
    r"|ответ\s*:?\s*",
    re.IGNORECASE,
)
_LABEL = re.compile(r"([A-Za-z]{2,20}(?: [A-Za-z]{1,20}){0,3})\s*:\s*(?=\S)")
_NAME = re.compile(
    r"((?:\\(?!frac|sqrt|d?frac)[a-zA-Z]+\s*)?(?:[a-zA-Z]{1,4}'{0,2})?(?:_\{?\w{1,8}\}?)?(?:\([a-zA-Z](?:,\s?[a-zA-Z]){0,3}\))?)"
    r"\s*(?:=|\\approx(?![a-z])|\\in(?![a-z])|\\equiv(?![a-z]))\s*"
)
_RELATION = re.compile(r"[=<>]|\\(?:le|ge|leq|geq|ne|neq|approx|in|lt|gt|equiv|leqslant|geqslant)(?![a-zA-Z])")
_MIXED = re.compile(r"(-?)(\d{1,15})\s*(?:\\frac\s*\{(\d{1,15})\}\s*\{(\d{1,15})\}|\s(\d{1,15})/(\d{1,15}))\Z")
_REPEATING = re.compile(r"(-?\d{1,15})\.(\d{0,15})\\overline\s?\{(\d{1,15})\}\Z")
_COUNTS = {"hundred": 2, "thousand": 3, "million": 6, "billion": 9, "trillion": 12}
_COUNT = re.compile(r"([-+]?\d+(?:\.\d+)?) (hundred|thousand|million|billion|trillion)s?\Z", re.IGNORECASE)
_EXPONENT = re.compile(r"([-+]?\d+(?:\.\d*)?)[eE]([-+]?\d{1,4})\Z")
_WORDS = dict(
    zip(
        [
            "zero",
            "one",
            "two",
            "three",
            "four",
            "five",
            "six",
            "seven",
            "eight",
            "nine",
            "ten",
            "eleven",
            "twelve",
            "thirteen",
            "fourteen",
            "fifteen",
            "sixteen",
            "seventeen",
            "eighteen",
            "nineteen",
            "twenty",
        ],
        map(str, range(21)),
        strict=True,
    )
)


def clean(answer: str) -> str:
    """The text of an answer without delimiters, typesetting, lead-ins, names, currencies and units."""
    return form(answer).text


def form(answer: str) -> Form:
    """An answer taken apart."""
    text = _without_delimiters(" ".join(as_latex(answer).split()))
    text, currency = take_currency(text)
    text, upright = _take_upright(text)
    text = unstyled(text)
    text = _NOTE.sub("", text)
    text, name = _take_name(_take_lead(text))
    inner, late_currency = take_currency(text)
    text, unit = _take_unit(inner)
    text = _value(_grouped(text))
    return Form(text=text, unit=upright or unit or currency or late_currency, name=name)


def unfonted(text: str) -> str:
    """Words without the font commands around them, and without the backslashes that LaTeX wants before signs."""
    for _ in range(3):  # fonts within fonts
        plain = _STYLED.sub(r" \1\2 ", text)
        if plain == text:
            break
        text = plain
    return re.sub(r"\\([&%$#_ ])", r"\1", text).strip()


def unstyled(text: str) -> str:
    """Without font commands, spacing and delimiters' sizes; spaces single."""
    text = _SPACING.sub(" ", _GROUPS.sub("", text))
    for _ in range(3):
        plain = _STYLED.sub(r" \1\2 ", text)
        if plain == text:
            break
        text = plain
    text = _DIGIT_FRACTION.sub(r"\\frac{\1}{\2}", _FRACTION.sub(r"\\frac", text))
    return _trimmed(" ".join(text.split()))


def _without_delimiters(text: str) -> str:
    text = text.strip().strip("*").strip()
    if text.startswith((r"\boxed", r"\fbox")) and text.count("box") == 1:
        text = extract_boxed(text) or ""
    if text.startswith("$") and text.count("$") == 1:
        return text.replace("$", r"\$")  # no second one: a currency
    # An escaped dollar sign is a currency, a bare one opens or closes mathematics.
    text = text.replace(r"\text{\$}", r"\$").replace(r"\text{$}", r"\$")
    text = text.replace(r"\$", "\0").replace("$", "").replace("\0", r"\$")
    return _DELIMITERS.sub("", text).strip()


def _trimmed(text: str) -> str:
    """Without a full stop or comma at the end."""
    while text and text[-1] in ".,;:" and not text.endswith(("\\,", "\\;", "\\:")):
        text = text[:-1].rstrip()
    return text


def _take_lead(text: str) -> str:
    """Without what introduces an answer: "the answer is", "there are", a label with a colon."""
    lead = _LEAD.match(text)
    if lead is not None:
        return text[lead.end() :]
    label = _LABEL.match(text)
    if label is None or "not" in label.group(1).lower().split():
        return text
    return text[label.end() :]


def _take_name(text: str) -> tuple[str, str | None]:
    """``x = 5`` as 5 and x. What has further relations, such as a chain or an inequality, stays as it is."""
    match = _NAME.match(text)
    if match is None or not match.group(1).strip():
        pair = re.match(r"\(([a-z](?:,\s*[a-z]){1,3})\)\s*=\s*(?=\()", text)
        return (text[pair.end() :], pair.group(1).replace(" ", "")) if pair else (text, None)
    rest = text[match.end() :]
    if not rest or _RELATION.search(rest):
        return text, None
    return rest, "".join(match.group(1).split())


def _take_upright(text: str) -> tuple[str, str | None]:
    """Without a unit of measure that is set in an upright font behind something."""
    match = _UPRIGHT_END.search(text)
    if match is None or not text[: match.start()].strip():
        return text, None
    unit = measure(match.group(1) + match.group(2))
    return (text, None) if unit is None else (text[: match.start()].strip(), unit)


def _take_unit(text: str) -> tuple[str, str | None]:
    percent = _PERCENT.search(text)
    if percent:
        return text[: percent.start()], PERCENT
    degrees = _DEGREES.search(text)
    if degrees:
        return text[: degrees.start()], "deg" + degrees.group(1)
    return take_unit(text)


def _grouped(text: str) -> str:
    """Thousands separators taken out; a comma is one only where every comma could be, and none is inside brackets."""
    if _SPACED_NUMBER.match(text):
        return text.replace(" ", "")
    if "," not in text or any(bracket in text for bracket in "([{"):
        return text
    joined = _COMMAS.sub(lambda number: number.group().replace(",", ""), text)
    return joined if "," not in joined else text


def _value(text: str) -> str:
    """Mixed numbers, exponents and number words as plain LaTeX."""
    mixed = _MIXED.match(text)
    if mixed:
        sign, whole, over, under = (
            mixed.group(1),
            mixed.group(2),
            *(mixed.group(3, 4) if mixed.group(3) else mixed.group(5, 6)),
        )
        if 0 < int(over) < int(under):
            return rf"{sign}\frac{{{int(whole) * int(under) + int(over)}}}{{{int(under)}}}"
    exponent = _EXPONENT.match(text)
    if exponent:
        return rf"{exponent.group(1)}\times 10^{{{int(exponent.group(2))}}}"
    repeating = _REPEATING.match(text)
    if repeating:
        return _repeating(*repeating.groups())
    times = _COUNT.match(text)
    if times:
        return rf"{times.group(1)}\times 10^{{{_COUNTS[times.group(2).lower()]}}}"
    return _WORDS.get(text.lower(), text)


def _repeating(whole: str, fixed: str, period: str) -> str:
    """A decimal of which the last digits repeat, as a fraction."""
    digits = whole.lstrip("-") + fixed
    over, under = int(digits + period) - int(digits), 10 ** len(fixed) * (10 ** len(period) - 1)
    return rf"{'-' if whole.startswith('-') else ''}\frac{{{over}}}{{{under}}}"
