"""Question sets as the project reads them everywhere: its own and FlashRAG's JSON lines, and the published parquet."""

from __future__ import annotations

from pathlib import Path

from mentor.data import read_questions
from mentor.trajectory import Question


class _Questions:
    name = "questions"
    summary = "JSON lines (ours, FlashRAG's, question and answer) or the published parquet, by suffix"

    def read(self, path: Path) -> list[Question]:
        return read_questions(path)


PLUGIN = _Questions()
