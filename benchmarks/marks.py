"""Measured tables in documents: between two marks, so that a command can write them anew."""

from __future__ import annotations

from pathlib import Path

START, END = "<!-- measured -->", "<!-- /measured -->"


def write_between(path: Path, text: str, start: str = START, end: str = END) -> None:
    """Put a text, which ends with a line's end, between the marks of a file."""
    document = path.read_text(encoding="utf-8")
    before, after = document.split(start)[0], document.split(end)[1]
    path.write_text(f"{before}{start}\n{text}{end}{after}", encoding="utf-8")
