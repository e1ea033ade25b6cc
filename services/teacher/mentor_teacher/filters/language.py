"""Texts in another language than is wanted, told without a download (py3langid), and letters of another script within them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import cache
from typing import Any, Literal

from pydantic import Field, field_validator

from mentor_teacher.filters import Candidate, Explained, FilterUse, Why
from mentor_teacher.texts import spoken

_NO_PROSE = re.compile(
    r"```.*?```|\$\$.*?\$\$|\$[^$\n]*\$|\\\[.*?\\\]|\\\(.*?\\\)|\\[A-Za-z]+|https?://\S+|[\d_{}^=<>\\]+", re.DOTALL
)
_OTHERS = (
    "ar", "bg", "cs", "da", "de", "el", "en", "es", "et", "fa", "fi", "fr", "he", "hi", "hr", "hu", "id", "it", "ja",
    "ko", "lt", "lv", "nl", "no", "pl", "pt", "ro", "ru", "sk", "sl", "sv", "th", "tr", "uk", "ur", "vi", "zh",
)  # fmt: skip
"""What is told apart: small relatives (Afrikaans, Wu) only ever steal short texts from these."""


class Settings(FilterUse):
    """``languages``: ISO 639-1 codes. ``of``: what is looked at. ``min_letters``: a shorter text is not judged.
    ``other_script``: the largest share of letters in scripts that none of the languages is written in.
    """

    languages: tuple[str, ...] = Field(default=("en",), min_length=1)
    of: Literal["trajectory", "question", "both"] = "both"
    min_letters: int = Field(default=25, ge=1)
    min_probability: float = Field(default=0.2, ge=0, le=1)
    other_script: float = Field(default=0.02, ge=0, le=1)
    reasoning: bool = False

    @field_validator("languages")
    @classmethod
    def _known(cls, given: tuple[str, ...]) -> tuple[str, ...]:
        unknown = next((code for code in given if code not in _OTHERS), None)
        if unknown is not None:
            raise ValueError(f"unknown language {unknown!r} (allowed: {', '.join(_OTHERS)})")
        return given


class _Language(Explained[Settings]):
    name = "language"
    summary = "drops what is in another language (languages, of, min_letters, other_script, reasoning)"
    Options = Settings

    def drops(self, candidates: Sequence[Candidate], options: Settings) -> list[Why]:
        known: dict[str, Why] = {}  # a question's text is looked at once for all of its samples
        return [_why(candidate, options, known) for candidate in candidates]


def _why(candidate: Candidate, options: Settings, known: dict[str, Why]) -> Why:
    texts = []
    if options.of in ("question", "both"):
        texts.append(candidate.question.question)
    if options.of in ("trajectory", "both"):
        turns = candidate.trajectory.turns
        texts.append("\n".join(spoken(turn) for turn in turns))
        texts += [turn.reasoning for turn in turns if options.reasoning and turn.reasoning]
    for text in texts:
        if text not in known:
            known[text] = foreign(text, options)
        if known[text] is not None:
            return known[text]
    return None


def foreign(text: str, options: Settings) -> Why:
    """Why a text is in another language, None where it is not, or too short to tell."""
    prose = _NO_PROSE.sub(" ", text)
    letters = [letter for letter in prose if letter.isalpha()]
    scripts = frozenset().union(*(_SCRIPTS.get(code, {"LATIN"}) for code in options.languages))
    others = [letter for letter in letters if _script(letter) not in scripts | {"GREEK"}]
    if len(others) > options.other_script * len(letters) and len(others) > 1:
        return f"{len(others)} of {len(letters)} letters are of another script"
    if len(letters) < options.min_letters:
        return None
    ranked = dict(_identifier().rank(prose))
    wanted = sum(float(ranked.get(code, 0.0)) for code in options.languages)
    likeliest = max(ranked, key=lambda code: float(ranked[code]))
    if wanted >= options.min_probability or likeliest in options.languages:
        return None
    return f"is {likeliest}, not {' or '.join(options.languages)}"


_SCRIPTS: dict[str, set[str]] = {
    "ar": {"ARABIC"}, "fa": {"ARABIC"}, "ur": {"ARABIC"}, "bg": {"CYRILLIC"}, "ru": {"CYRILLIC"}, "uk": {"CYRILLIC"},
    "el": {"GREEK"}, "he": {"HEBREW"}, "hi": {"DEVANAGARI"}, "ja": {"CJK", "HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA"},
    "ko": {"HANGUL", "CJK"}, "th": {"THAI"}, "zh": {"CJK"},
}  # fmt: skip
"""Of the languages that are not written in Latin letters."""


def _script(letter: str) -> str:
    """The script of a letter, as Unicode's names begin; letters that mathematics borrows count as Latin."""
    if letter.isascii():
        return "LATIN"
    first = unicodedata.name(letter, "?").split(" ", 1)[0]
    return "LATIN" if first in ("FEMININE", "MASCULINE", "MATHEMATICAL", "SCRIPT", "DOUBLE-STRUCK", "MICRO") else first


@cache
def _identifier() -> Any:
    from py3langid import langid

    identifier = langid.LanguageIdentifier.from_model_file(langid.MODEL_FILE, norm_probs=True)
    identifier.set_languages(list(_OTHERS))
    return identifier


PLUGIN = _Language()
