"""Phrases: words that stand one behind another. The full-text table knows which words a trajectory has and not where, because
places would double it; so what has all the words of a phrase is read, newest first, for as long as a page may take."""

from __future__ import annotations

import re
import time
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from mentor_console.index.facts import Origin, facts_of, unreadable
from mentor_console.index.lines import LONGEST, UnreadableError, read

LOOK_S = 1.0
"""Of reading for one page; the next page goes on from there."""
_QUOTED = re.compile('["\u201c\u201d]([^"\u201c\u201d]*)["\u201c\u201d]')
_NOWHERE = Origin("", "")


def phrases_of(text: str) -> tuple[str, ...]:
    """What stands in quotes, as words with one space between; a single word is none."""
    spelled = (spell(quoted).strip() for quoted in _QUOTED.findall(text))
    return tuple(dict.fromkeys(phrase for phrase in spelled if " " in phrase))


def spell(text: str) -> str:
    """Words as the full-text table has them (small letters without diacritics), a space before, between and behind."""
    if not text.isascii():
        apart = unicodedata.normalize("NFKD", text)
        text = "".join(" " if _between(c) else c for c in apart if unicodedata.category(c) != "Mn")
    return f" {' '.join(_WORD.findall(text.lower()))} "


_WORD = re.compile(r"[^\W_]+")


def _between(character: str) -> bool:
    return unicodedata.category(character)[0] not in "LN"


class Looking:
    """Reads rows (with the ``path`` of their file) for phrases until its time is over."""

    def __init__(self, folder: Path, phrases: tuple[str, ...], seconds: float = LOOK_S) -> None:
        self._folder = folder
        self._phrases = [f" {phrase} " for phrase in phrases]
        self._until = time.monotonic() + seconds
        self.looked = 0
        self.last: int | None = None
        self.over = False

    def fitting(self, rows: Iterable[Any]) -> Iterator[Any]:
        """Those that have all phrases. ``last`` is the id of the last one that was read; ``over``: more were left."""
        for row in rows:
            if time.monotonic() > self._until:
                self.over = True
                return
            self.looked, self.last = self.looked + 1, int(row["id"])
            if self._has(row):
                yield row

    def _has(self, row: Any) -> bool:
        try:
            with (self._folder / row["path"]).open("rb") as file:
                file.seek(row["offset"])
                line = file.read(min(row["length"], LONGEST))
        except OSError:
            return False
        try:
            words = facts_of(read(line), _NOWHERE).words
        except UnreadableError:
            words = unreadable(line, 0).words
        parts = [spell(part) for part in words]
        return all(any(phrase in part for part in parts) for phrase in self._phrases)
