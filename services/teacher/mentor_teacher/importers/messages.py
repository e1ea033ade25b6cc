"""OpenAI messages with tool calls, as fine-tuning data and logs have them: ``{"messages": [...], "tools": [...]}`` a line.

What this project exports for fine-tuning reads back.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from mentor.trajectory import Question, Trajectory
from mentor_teacher.importers import Imported
from mentor_teacher.importers._conversations import OPTIONS, converse, reading
from mentor_teacher.reading import Row, answers_of, read_rows, take_options


class _Messages:
    name = "messages"
    summary = "OpenAI messages with tool calls: conversations as they were recorded"

    def read(self, path: Path, options: Mapping[str, str]) -> Imported:
        """``messages``: the column, where it is called otherwise; ``answer`` and ``judge``: as ``Reading``."""
        column = take_options(options, ("messages", *OPTIONS)).get("messages", "messages")
        how = reading(options)

        def read(row: Row, name: str) -> tuple[Question, Trajectory]:
            found = row.get(column)
            if not isinstance(found, list) or not all(isinstance(message, dict) for message in found):
                raise ValueError(f"{column} is no list of messages")
            return converse(name, found, answers_of(row), row.get("model"), path.stem, row.get("tools"), how)

        questions, traces, rejected = read_rows(path, read)
        return Imported(questions=tuple(questions), trajectories=tuple(traces), rejected=tuple(rejected))


PLUGIN = _Messages()
