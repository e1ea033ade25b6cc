"""latex: the same tables for a paper (booktabs)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from mentor.data import write_text
from mentor_evaluator.exports._tables import Table, tables
from mentor_evaluator.runs import Run

_SPECIAL = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"} | {
    sign: f"\\{sign}" for sign in "&%$#_{}"
}
_INTERVAL = re.compile(r"\A(\S+) (\[.*\])(\*?)\Z")


class _Latex:
    name = "latex"
    summary = "accuracies by suite with macro averages, and every model beside the first, as LaTeX (booktabs)"

    def export(self, run: Run, folder: Path) -> Sequence[Path]:
        path = folder / "tables.tex"
        write_text(path, "% \\usepackage{booktabs}\n" + "\n".join(_rendered(table) for table in tables(run)))
        return [path]


def _rendered(table: Table) -> str:
    columns = "l" * table.words + "r" * (len(table.header) - table.words)
    lines = [
        r"\begin{table}[t]", r"\centering", r"\small", f"\\caption{{{escaped(table.title)}}}",
        f"\\begin{{tabular}}{{{columns}}}", r"\toprule", _row(table.header), r"\midrule",
        *(_row(row) for row in table.rows), r"\bottomrule", r"\end{tabular}", r"\end{table}",
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def _row(cells: Sequence[str]) -> str:
    return " & ".join(map(_cell, cells)) + r" \\"


def _cell(text: str) -> str:
    found = _INTERVAL.match(text)
    if found is None:
        return "--" if text == "-" else escaped(text)
    value, interval, star = found.groups()
    return f"{value}{'$^{*}$' if star else ''} {{\\scriptsize {interval}}}"


def escaped(text: str) -> str:
    """Text that LaTeX prints as it stands."""
    return "".join(_SPECIAL.get(sign, sign) for sign in text)


PLUGIN = _Latex()
