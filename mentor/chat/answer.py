r"""Find the answer of a turn: the last ``\boxed{...}``, braces nested to any depth."""

from __future__ import annotations

_MARKERS = ("\\boxed", "\\fbox")


def extract_boxed(text: str) -> str | None:
    r"""Content of the last complete ``\boxed{...}`` in ``text``, stripped; None where there is none.

    Escaped braces (``\{``, ``\}``) do not count as nesting. ``\boxed 5`` (no braces) is accepted as LaTeX does.
    """
    end = len(text)
    while True:
        start = max(text.rfind(marker, 0, end) for marker in _MARKERS)
        if start < 0:
            return None
        marker = next(m for m in _MARKERS if text.startswith(m, start))
        content = _braced(text, start + len(marker))
        if content is not None:
            return content
        end = start


def _braced(text: str, position: int) -> str | None:
    while position < len(text) and text[position] == " ":
        position += 1
    if position >= len(text):
        return None
    if text[position] != "{":
        token = text[position:].split(maxsplit=1)[0].split("$", 1)[0].rstrip(".,;")
        return token if token and not token[0].isalpha() else None
    depth, index = 0, position
    while index < len(text):
        char = text[index]
        if char == "\\":
            index += 2
            continue
        depth += (char == "{") - (char == "}")
        if depth == 0:
            return text[position + 1 : index].strip()
        index += 1
    return None
