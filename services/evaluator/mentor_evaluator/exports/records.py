"""records: the shape of published evaluation scripts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from mentor.data import write_text
from mentor_evaluator.records import record
from mentor_evaluator.runs import Run


class _Records:
    name = "records"
    summary = "one JSON line per sample in the published bench's shape, a file per cell"

    def export(self, run: Run, folder: Path) -> Sequence[Path]:
        written = []
        for cell in run.cells():
            questions = {question.id: question for question in cell.questions}
            rows = (record(questions[t.question_id], t, cell.model) for t in cell.trajectories if not t.failed)
            path = folder / cell.model / cell.suite / f"{cell.arm}.jsonl"
            write_text(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
            written.append(path)
        return written


PLUGIN = _Records()
