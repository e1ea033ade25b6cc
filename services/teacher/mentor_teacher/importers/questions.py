"""Question sets as the project reads them everywhere: its own and FlashRAG's JSON lines, and the published parquet."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from mentor.data import read_questions
from mentor_teacher.importers import Imported
from mentor_teacher.reading import take_options


class _Questions:
    name = "questions"
    summary = "JSON lines (ours, FlashRAG's, question and answer) or the published parquet, by suffix"

    def read(self, path: Path, options: Mapping[str, str]) -> Imported:
        take_options(options, ())
        return Imported(questions=tuple(read_questions(path)))


PLUGIN = _Questions()
