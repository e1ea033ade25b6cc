"""Records of the published bench, and of this project's evaluations: what a measured model got right are traces."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from mentor.trajectory import Question, Trajectory
from mentor_teacher.importers import Imported
from mentor_teacher.importers._conversations import OPTIONS, converse, reading
from mentor_teacher.reading import Row, answers_of, read_rows, take_options, text_of


class _Records:
    name = "records"
    summary = "evaluation records of the published bench and of `mentor eval`: what was right becomes references"

    def read(self, path: Path, options: Mapping[str, str]) -> Imported:
        take_options(options, OPTIONS)
        how = reading(options)

        def read(row: Row, name: str) -> tuple[Question, Trajectory]:
            found = row.get("messages")
            if not isinstance(found, list) or not all(isinstance(message, dict) for message in found):
                raise ValueError("messages is no list of messages")
            question, trace = converse(
                name, found, answers_of(row), row.get("model_name"), str(row.get("dataset_name")), how=how
            )
            asked = text_of(row, "question")
            return question.model_copy(update={"question": asked}), trace.model_copy(update={"question": asked})

        questions, traces, rejected = read_rows(path, read)
        return Imported(questions=tuple(questions), trajectories=tuple(traces), rejected=tuple(rejected))


PLUGIN = _Records()
