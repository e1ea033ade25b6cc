"""Characters that mathematicians type, as the LaTeX that a parser reads. Linear in the length of the text."""

from __future__ import annotations

import re
import unicodedata

_SUPERSCRIPTS = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿ", "0123456789+-n", strict=True))
_SUBSCRIPTS = dict(zip("₀₁₂₃₄₅₆₇₈₉₊₋", "0123456789+-", strict=True))
_SIGNS = {
    "−": "-", "–": "-", "—": "-", "×": r"\times ", "·": r"\cdot ", "⋅": r"\cdot ", "÷": "/", "⁄": "/", "±": r"\pm ",
    "∓": r"\mp ", "≤": r"\le ", "≥": r"\ge ", "⩽": r"\le ", "⩾": r"\ge ", "≠": r"\ne ", "≈": r"\approx ", "∞": r"\infty ",
    "∪": r"\cup ", "∩": r"\cap ", "∈": r"\in ", "∅": r"\emptyset ", "°": r"^\circ ", "√": r"\sqrt ", "∠": r"\angle ",
    "π": r"\pi ", "θ": r"\theta ", "α": r"\alpha ", "β": r"\beta ", "γ": r"\gamma ", "λ": r"\lambda ", "ℝ": r"\mathbb{R}",
    "⟨": r"\langle ", "⟩": r"\rangle ", "。": ".", "、": ", ", "\u2009": " ", "\u202f": " ",
}  # fmt: skip
_SUPERSCRIPT_RUN = re.compile(f"[{''.join(_SUPERSCRIPTS)}]+")
_SUBSCRIPT_RUN = re.compile(f"[{''.join(_SUBSCRIPTS)}]+")
_BARE_ROOT = re.compile(r"\\sqrt ([0-9]+|[a-zA-Z](?![a-zA-Z]))")


def as_latex(text: str) -> str:
    """``x²`` as ``x^{2}``, ``½`` as a fraction, full-width forms and typographic signs as what they stand for."""
    if text.isascii():
        return text
    text = _SUPERSCRIPT_RUN.sub(lambda run: "^{" + "".join(_SUPERSCRIPTS[c] for c in run.group()) + "}", text)
    text = _SUBSCRIPT_RUN.sub(lambda run: "_{" + "".join(_SUBSCRIPTS[c] for c in run.group()) + "}", text)
    text = "".join(c if c.isascii() else _character(c) for c in text)
    return _BARE_ROOT.sub(r"\\sqrt{\1}", text)


def _character(char: str) -> str:
    sign = _SIGNS.get(char)
    if sign is not None:
        return sign
    if unicodedata.decomposition(char).startswith("<fraction>"):
        over, _, under = unicodedata.normalize("NFKC", char).partition("⁄")
        return rf"\frac{{{over}}}{{{under}}}"
    plain = unicodedata.normalize("NFKC", char)
    return "".join(_SIGNS.get(c, c) for c in plain)
