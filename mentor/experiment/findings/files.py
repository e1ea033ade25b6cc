"""What is found as files: Markdown and LaTeX for people, JSON and CSV for machines."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from mentor import tabular
from mentor.data import write_text
from mentor.experiment.findings.maps import MapCells
from mentor.experiment.findings.measured import Measured
from mentor.experiment.findings.measures import MEASURES
from mentor.experiment.findings.results import Results, code_versions
from mentor.experiment.findings.verdicts import Verdict
from mentor.tabular import Table

COLUMNS = (
    "world", "student", "method", "set", "measure", "mean", "low", "high", "seeds", "questions", "n", "noise_floor",
)  # fmt: skip


def write_tables(tables: Sequence[Table], folder: Path) -> list[Path]:
    """``tables.md`` and ``tables.tex``."""
    parts = [f"## {_line(t.title)}\n\n{tabular.markdown(t)}" + (f"\n{t.note}\n" if t.note else "") for t in tables]
    written = [folder / "tables.md", folder / "tables.tex"]
    write_text(written[0], "\n".join(parts))
    write_text(written[1], "% \\usepackage{booktabs}\n" + "\n".join(map(tabular.latex, tables)))
    return written


def write_estimates(found: Sequence[Measured], folder: Path) -> Path:
    """``estimates.csv``: one row a world, student, method, set and measure."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for one in found:
        writer.writerows(_rows(one))
    path = folder / "estimates.csv"
    write_text(path, text.getvalue())
    return path


def write_findings(results: Results, verdicts: Sequence[Verdict], maps: Sequence[MapCells], folder: Path) -> Path:
    """``findings.json``: verdicts with their differences, maps, and what is missing or lost."""
    plain = {
        "name": results.spec.name,
        "runs": {
            "wanted": len(results.wanted),
            "there": len(results.runs),
            "missing": [r.label for r in results.missing],
        },
        "lost_draws": {run_id.label: run.lost for run_id, run in results.runs.items() if run.lost},
        "code_versions": code_versions(results.records),
        "verdicts": [verdict.model_dump(mode="json") for verdict in verdicts],
        "maps": [_map(one) for one in maps],
    }
    path = folder / "findings.json"
    write_text(path, json.dumps(plain, ensure_ascii=False, indent=1, allow_nan=False) + "\n")
    return path


def _rows(found: Measured) -> Iterator[tuple[Any, ...]]:
    for method in found.methods:
        for column in found.columns:
            place = (*found.pair, method, column)
            for measure in MEASURES:
                one = found.estimate(measure, method, column)
                if one is not None:
                    yield (*place, measure, one.mean, one.low, one.high, one.seeds, one.clusters, one.n, "")
            score = found.alignment(method, column)
            if score is not None:
                yield (*place, "alignment_score", score.alignment_score, *score.interval, score.seeds, score.questions,
                       score.student_calls, score.noise_floor)  # fmt: skip


def _map(found: MapCells) -> dict[str, Any]:
    cells = [
        {"row": row, "column": column, "difference": one.model_dump(mode="json") if one else None}
        for (row, column), one in found.cells.items()
    ]
    return {"map": found.wanted.model_dump(mode="json"), "cells": cells}


def _line(text: str) -> str:
    return " ".join(text.split()).replace("<", "&lt;")
