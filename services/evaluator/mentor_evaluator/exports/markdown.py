"""markdown: tables that a README takes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mentor import tabular
from mentor.data import write_text
from mentor_evaluator.exports._tables import tables
from mentor_evaluator.measures.reading import report_of
from mentor_evaluator.runs import Run

_NOTE = "Intervals are clustered by question. `*`: significant on at least one suite (p < 0.05 after Holm)."


class _Markdown:
    name = "markdown"
    summary = "accuracies by suite with macro averages, and every model beside the first, as Markdown"

    def export(self, run: Run, folder: Path) -> Sequence[Path]:
        path = folder / "tables.md"
        write_text(path, markdown(run))
        return [path]


def markdown(run: Run) -> str:
    """Both tables and the report's warnings."""
    parts = [f"## {table.title}\n\n{tabular.markdown(table)}" for table in tables(run)]
    warnings = report_of(run).warnings
    noted = "\n".join(f"- {text}" for text in warnings)
    return "\n".join([*parts, _NOTE, *([f"\nTo be read with care:\n\n{noted}"] if warnings else [])]) + "\n"


PLUGIN = _Markdown()
