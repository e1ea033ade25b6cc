"""OpenAI messages with tool calls, as fine-tuning data and logs have them: ``{"messages": [...], "tools": [...]}`` a line."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from mentor.trajectory import Question, Trajectory
from mentor_teacher.importers import Imported
from mentor_teacher.importers._conversations import converse
from mentor_teacher.reading import Row, answers_of, read_rows, take_options


class _Messages:
    name = "messages"
    summary = "OpenAI messages with tool calls: conversations as they were recorded"

    def read(self, path: Path, options: Mapping[str, str]) -> Imported:
        """``messages``: the column, where it is called otherwise."""
        column = take_options(options, ("messages",)).get("messages", "messages")

        def read(row: Row, name: str) -> tuple[Question, Trajectory]:
            found = row.get(column)
            if not isinstance(found, list) or not all(isinstance(message, dict) for message in found):
                raise ValueError(f"{column} is no list of messages")
            return converse(name, found, answers_of(row), row.get("model"), path.stem, row.get("tools"))

        questions, traces, rejected = read_rows(path, read)
        return Imported(questions=tuple(questions), trajectories=tuple(traces), rejected=tuple(rejected))


PLUGIN = _Messages()
