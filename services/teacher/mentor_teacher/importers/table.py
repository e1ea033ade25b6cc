"""CSV, TSV, JSON lines or parquet, with columns named by options: ``question``, ``answer``, ``id``, ``category``, ``tools``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from mentor.trajectory import Question
from mentor_teacher.importers import Imported
from mentor_teacher.reading import Row, read_rows, take_options, text_of

_OPTIONS = ("question", "answer", "id", "category", "tools")


class _Table:
    name = "table"
    summary = "CSV, TSV, JSON lines or parquet; options name the columns, and the tools to offer"

    def read(self, path: Path, options: Mapping[str, str]) -> Imported:
        """``tools``: names separated by commas; the 12 math tools where left out. The other options are columns' names; an
        empty ``answer`` says that there is none (``agreement`` stands in).
        """
        given = take_options(options, _OPTIONS)
        tools = tuple(name.strip() for name in given["tools"].split(",")) if "tools" in given else None

        def read(row: Row, name: str) -> tuple[Question, None]:
            category = row.get(given["category"]) if "category" in given else None
            accepted = _answers(row, given.get("answer", "answer"))
            return Question(
                id=name, question=text_of(row, given.get("question", "question")), answers=accepted, tools=tools,
                category=None if category is None else str(category), data_source=path.stem,
            ), None  # fmt: skip

        questions, _, rejected = read_rows(path, read, given.get("id", "id"))
        return Imported(questions=tuple(questions), rejected=tuple(rejected))


def _answers(row: Row, column: str) -> tuple[str, ...]:
    if not column:
        return ()
    found = row.get(column)
    return tuple(map(str, found)) if isinstance(found, list) else (text_of(row, column),)


PLUGIN = _Table()
