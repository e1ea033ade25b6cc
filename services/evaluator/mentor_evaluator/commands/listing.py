"""Tables on the terminal: suites, and the matrix of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from mentor.cli.console import wide_console
from mentor.errors import UserError
from mentor.local.table import number, percent
from mentor_evaluator.suites import SUITES, MayLack, data_folder


def probability(p: float) -> str:
    """A p-value as people read it."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def suite_rows(folder: Path | None = None) -> list[dict[str, Any]]:
    """What there is: name, groups, scorer, questions found here (None where the data are not), and what it is."""
    place = folder or data_folder()
    rows = []
    for suite in SUITES:
        try:
            found: int | None = len(suite.load(place, skip_broken=True).questions)
            missing = suite.unavailable() if isinstance(suite, MayLack) else None
        except UserError as error:
            found, missing = None, str(error)
        rows.append(
            {
                "suite": suite.name, "groups": list(suite.groups), "scorer": suite.scorer, "questions": found,
                "missing": missing, "summary": suite.summary,
            }
        )  # fmt: skip
    return rows


def suite_table(rows: list[dict[str, Any]]) -> None:
    """Print them."""
    console, table = wide_console(), Table()
    for column in ("suite", "groups", "scorer", "questions here", "what it is"):
        table.add_column(column, overflow="fold")
    for row in rows:
        here = "-" if row["questions"] is None else str(row["questions"])
        table.add_row(row["suite"], ", ".join(row["groups"]), row["scorer"], here, row["summary"])
    console.print(table)
    absent = [row for row in rows if row["missing"]]
    if absent:
        console.print(f"{len(absent)} have no data here; for one: {absent[0]['missing']}", markup=False)


def print_matrix(report: dict[str, Any], console: Console) -> None:
    """Models times suites: accuracy with its interval and n, then tool use."""
    table = Table(title="accuracy in % with 95% interval over questions, n = questions")
    columns = ("model", "suite", "arm", "accuracy", "n", "samples", "lost", "usage", "invalid", "calls", "alignment")
    for column in columns:
        table.add_column(column, justify="left" if column in ("model", "suite", "arm") else "right")
    for key, cell in report["cells"].items():
        table.add_row(*_cells(key, cell))
    console.print(table)
    for macro in report["macro"]:
        missing = f"; not run: {', '.join(macro['missing'])}" if macro["missing"] else ""
        console.print(
            f"macro average {macro['group']}, {macro['model']}, {macro['arm']}: {_interval(macro['accuracy'])}{missing}",
            markup=False,
        )
    for effect in report["tool_effects"]:
        shown = f"{_interval(effect['difference'], '+')} points, {probability(effect['p'])}"
        console.print(f"effect of tools, {effect['model']}, {effect['suite']}: {shown}", markup=False)
    for warning in report["warnings"]:
        console.print(f"to be read with care: {warning}", markup=False)


def _cells(key: str, cell: dict[str, Any]) -> list[str]:
    model, suite, arm = key.split("/")
    found, usage = cell["accuracy"], cell["usage"]
    aligned = (cell["alignment"] or {}).get("alignment_score")
    return [
        model, suite, arm, _interval(found), str(found["clusters"]), str(cell["samples"]), str(cell["infrastructure_failures"]),
        percent(usage["usage_rate"]), percent(usage["invalid_rate"]), f"{usage['calls_per_question']:.2f}", number(aligned),
    ]  # fmt: skip


def _interval(found: dict[str, Any], sign: str = "") -> str:
    mean, low, high = (100 * found[name] for name in ("mean", "low", "high"))
    return f"{mean:{sign}.1f} [{low:{sign}.1f}, {high:{sign}.1f}]"
