"""Tables as cells of text, and the two forms in which documents take them: Markdown, LaTeX (booktabs)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

NONE = "-"
_SPECIAL = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"} | {
    sign: f"\\{sign}" for sign in "&%$#_{}"
}
_INTERVAL = re.compile(r"\A(\S+) (\[.*\])(\*?)\Z")


@dataclass(frozen=True)
class Table:
    """``rows`` are as long as ``header``; the first ``words`` columns are words, the others numbers. ``note`` stands below."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    words: int = 2
    note: str = ""


def markdown(table: Table) -> str:
    """The table alone, without its title. No text in it can end a cell or a row, or becomes HTML or a link."""
    marks = ["---" if place < table.words else "---:" for place in range(len(table.header))]
    rows = [tuple(map(_plain, table.header)), tuple(marks), *(tuple(map(_plain, row)) for row in table.rows)]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def latex(table: Table) -> str:
    """A float with a caption; intervals in small type."""
    columns = "l" * table.words + "r" * (len(table.header) - table.words)
    lines = [
        r"\begin{table}[t]", r"\centering", r"\small", f"\\caption{{{escaped(table.title)}}}",
        f"\\begin{{tabular}}{{{columns}}}", r"\toprule", _row(table.header), r"\midrule",
        *(_row(row) for row in table.rows), r"\bottomrule", r"\end{tabular}", r"\end{table}",
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def escaped(text: str) -> str:
    """Text that LaTeX prints as it stands."""
    return "".join(_SPECIAL.get(sign, sign) for sign in text)


def _plain(cell: str) -> str:
    return " ".join(cell.split()).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("](", "]\\(")


def _row(cells: Sequence[str]) -> str:
    return " & ".join(map(_cell, cells)) + r" \\"


def _cell(text: str) -> str:
    found = _INTERVAL.match(text)
    if found is None:
        return "--" if text == NONE else escaped(text)
    value, interval, star = found.groups()
    return f"{value}{'$^{*}$' if star else ''} {{\\scriptsize {interval}}}"
