"""latex: the same tables for a paper (booktabs)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mentor import tabular
from mentor.data import write_text
from mentor_evaluator.exports._tables import tables
from mentor_evaluator.runs import Run


class _Latex:
    name = "latex"
    summary = "accuracies by suite with macro averages, and every model beside the first, as LaTeX (booktabs)"

    def export(self, run: Run, folder: Path) -> Sequence[Path]:
        path = folder / "tables.tex"
        write_text(path, "% \\usepackage{booktabs}\n" + "\n".join(tabular.latex(table) for table in tables(run)))
        return [path]


PLUGIN = _Latex()
