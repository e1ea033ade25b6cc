r"""An answer given in words: "the answer is ...", ``#### 5``, bold, or at the end of the last sentence."""

from __future__ import annotations

import re
from typing import Literal

Kind = Literal["math", "text"]
"""What is looked for: a mathematical expression, or a few words."""

_TAIL_CHARS = 20_000
_LONGEST_TEXT = 60
_CUE = re.compile(
    r"\b(?:answer|solution)\b(?:\s+(?:to|for|of)\s[^.\n]{0,80}?)?[*_\s]{0,4}"
    r"(?:\b(?:is|was|are|would\s+be|should\s+be|must\s+be|will\s+be|equals)\b|:|=)"
    r"|(?:\A|\n)[*#\s]{0,8}(?:final\s+)?answer[*:\s]{0,6}\n"
    r"|答案\s*(?P<no>不)?\s*(?:应该|应)?\s*(?:是|为|等于|[:：])|(?:答え|解答)は|(?:정답|답)(?:은|:)|ответ\w{0,2}\s*[:—–-]"
    r"|\brespuesta(?:\s+(?:final|correcta))?\s*(?:es\b|:)|\bréponse(?:\s+(?:finale|correcte))?\s*(?:est\b|:)"
    r"|\bantwort\s*(?:ist\b|lautet\b|:)|\bresposta(?:\s+(?:final|correta))?\s*(?:é\b|:)|\brisposta(?:\s+finale)?\s*(?:è|:)",
    re.IGNORECASE,
)
_HASHES = re.compile(r"(?:\A|\n)\s*####\s*([^\n]{1,400})")
_NEGATION = re.compile(
    r"\b(?:not|no\s+idea|cannot|can't|never|neither|nor|unknown|unclear)\b|n't\b|不|没|無|沒", re.IGNORECASE
)
_NOT = re.compile(r"[*\s]{0,4}(?:not|n't|never|no\s+longer|neither)\b", re.IGNORECASE)
_BOLD = re.compile(r"\*\*([^*\n]{1,200})\*\*")
_FORMULA = re.compile(r"\$\$?([^$\n]{1,400})\$\$?|\\\(([^\n]{1,400}?)\\\)|\\\[([^\n]{1,400}?)\\\]")
_NUMBER = re.compile(
    r"(?<![\w.,])-?(?:\\?\$)?\d[\d,]*(?:\.\d+)?(?:\s?/\s?\d+)?(?:\\?%)?(?![\w])|(?<![\w.,])-?\d[\d,]*(?:\.\d+)?(?=[^\x00-\x7f])"
)
_UNFINISHED = re.compile(
    r"(?:\b(?:and|or|the|of|to|is|are|be|a|with|by|for|that|then|we|i)|[,+=(*/-])\Z", re.IGNORECASE
)
_REASON = re.compile(r",?\s(?:because|since|as\s+(?:we|it|the)|which|i\s+hope)\b", re.IGNORECASE)
_ABBREVIATED = frozenset(
    [
        "st",
        "dr",
        "mr",
        "mrs",
        "ms",
        "jr",
        "sr",
        "vs",
        "no",
        "mt",
        "ft",
        "prof",
        "gen",
        "sen",
        "gov",
        "rev",
        "capt",
        "approx",
        "etc",
    ]
)
_STOP = re.compile(r"[.!?](?=\s|\Z|[*\"”’)]{1,3}(?:\s|\Z))|[。！？]")
_EDGE = ' \t\n*_"“”'
_POLITE = re.compile(r"\s*(?:です|でした|입니다|이다)\Z")


def in_words(text: str, kind: Kind) -> str | None:
    """The answer that a text without a box or an answer tag ends with; None where it gives none."""
    text = text[-_TAIL_CHARS:].strip()
    cue = _last(_CUE, text)
    hashes = _last_hashes(text, kind)
    if hashes is not None and (cue is None or hashes.start() > cue.start()):
        return _tidy(hashes.group(1)) or None
    if cue is not None:
        refused = cue["no"] or _NOT.match(text, cue.end())
        return None if refused else _stated(text[cue.end() :], kind)
    return _concluded(text, kind)


def _last(pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    found = None
    for found in pattern.finditer(text):  # noqa: B007 (the last one is wanted)
        pass
    return found


def _last_hashes(text: str, kind: Kind) -> re.Match[str] | None:
    """The last line with four hashes that is no heading."""
    found = None
    for line in _HASHES.finditer(text):
        if kind == "text" or re.search(r"[\d\\]", line.group(1)) or len(line.group(1).strip()) == 1:
            found = line
    return found


def _stated(rest: str, kind: Kind) -> str | None:
    """What follows "the answer is": to the end of the sentence."""
    rest = rest.lstrip(_EDGE + ":：=")
    for opening, closing in ((r"\[", r"\]"), ("$$", "$$")):
        if rest.startswith(opening) and closing in rest[2:]:
            return rest[2 : rest.index(closing, 2)].strip() or None
    line = rest.partition("\n")[0]
    sentence = _REASON.split(_first_sentence(line), maxsplit=1)[0]
    return _tidy(sentence if kind == "text" else _POLITE.sub("", sentence)) or None


def _first_sentence(line: str) -> str:
    """Up to a full stop that ends a sentence: not one inside a formula, after an initial or an abbreviation."""
    for stop in _STOP.finditer(line):
        before = line[: stop.start()]
        if before.count("$") % 2:
            continue
        word = re.search(r"([^\W\d_]{1,12})\Z", before)
        short = word is not None and (len(word.group()) == 1 or word.group().lower() in _ABBREVIATED)
        if stop.group() == "." and short and line[stop.end() : stop.end() + 2].strip()[:1].isupper():
            continue
        return before
    return line


def _tidy(answer: str) -> str:
    return answer.strip(_EDGE).rstrip(".。").strip(_EDGE)


def _concluded(text: str, kind: Kind) -> str | None:
    """What the last line leaves: bold, then (in mathematics) the last formula or number of its last sentence."""
    line = text.rpartition("\n")[2].strip()
    if "\\boxed" in line:
        return None  # a box that was cut off: whatever stands in it is not whole
    if kind == "text":
        return _short(line)
    bold = [found for found in _BOLD.findall(line) if re.search(r"[\d\\]", found)]
    if bold:
        return _tidy(bold[-1])
    sentence = _last_sentence(line)
    if not sentence or sentence.endswith(("?", "？")) or _NEGATION.search(sentence) or _UNFINISHED.search(sentence):
        return None
    return _last_value(sentence)


def _short(line: str) -> str | None:
    """A line that is an answer as it stands, or the bold of it."""
    bold = _BOLD.findall(line)
    if bold:
        return _tidy(bold[-1])
    return _tidy(line) or None if len(line) <= _LONGEST_TEXT else None


def _last_sentence(line: str) -> str:
    body = line.rstrip()
    stops = [stop.end() for stop in _STOP.finditer(body) if stop.end() < len(body.rstrip('*"”’)'))]
    return body[stops[-1] if stops else 0 :].strip()


def _last_value(sentence: str) -> str | None:
    formula = _last(_FORMULA, sentence)
    if formula is not None:
        return _right_side(next(group for group in formula.groups() if group is not None))
    if "=" in sentence:
        return _right_side(sentence)
    number = _last(_NUMBER, sentence)
    return number.group() if number else None


def _right_side(equation: str) -> str | None:
    return _tidy(equation.rpartition("=")[2]) or None
