"""records: the shape of published evaluation scripts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mentor_evaluator.records import write_records
from mentor_evaluator.runs import Run


class _Records:
    name = "records"
    summary = "one JSON line per sample in the published bench's shape, a file per cell"

    def export(self, run: Run, folder: Path) -> Sequence[Path]:
        written = []
        for cell in run.cells():
            path = folder / cell.model / cell.suite / f"{cell.arm}.jsonl"
            write_records([cell], path)
            written.append(path)
        return written


PLUGIN = _Records()
