"""The page: one HTML file that needs nothing else, with verdicts first, tables, and figures for light and for dark."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader

from mentor.data import write_text
from mentor.experiment.findings import claims
from mentor.experiment.findings.figures import Drawn
from mentor.experiment.findings.results import Results, code_versions
from mentor.experiment.findings.verdicts import Verdict
from mentor.experiment.spec import ExperimentSpec
from mentor.tabular import Table

_MARKS = {
    "holds": "good", "holds, smaller than what matters": "small", "does not hold": "bad",
    "cannot be told at this size": "open", "not run": "open",
}  # fmt: skip


def write_page(
    results: Results,
    verdicts: Sequence[Verdict],
    tables: tuple[Sequence[Table], Sequence[Table]],
    figures: Sequence[Drawn],
    folder: Path,
) -> Path:
    """``index.html``. ``tables``: those that are shown, and those that are folded away."""
    environment = Environment(  # everything but the figures' data is somebody's text
        loader=PackageLoader("mentor.experiment.findings", "templates"), autoescape=True, trim_blocks=True
    )
    path = folder / "index.html"
    page = environment.get_template("index.html.j2").render(
        spec=results.spec,
        there=sum(run in results.runs for run in results.wanted),
        wanted=len(results.wanted),
        missing=[run.label for run in results.missing],
        others=sorted(run.label for run in results.runs.keys() - set(results.wanted)),
        codes=code_versions(results.records),
        lost=sum(run.lost for run in results.runs.values()),
        drawn=sum(run.drawn for run in results.runs.values()),
        losers={run_id.label: f"{run.lost} of {run.drawn}" for run_id, run in results.runs.items() if run.lost},
        finished=max((record.finished for record in results.records), default=""),
        verdicts=[_verdict(one) for one in verdicts],
        note=claims.NOTE,
        worlds=_worlds(results.spec),
        methods=[(results.label(name), name, _how(results, name)) for name in results.spec.methods],
        tables=tables[0],
        more=tables[1],
        figures=[(one.title, one.caption, _data(one.light), _data(one.dark)) for one in figures],
    )  # fmt: skip
    write_text(path, page)
    return path


def _verdict(found: Verdict) -> dict[str, Any]:
    cells = dict(zip(claims.HEADER, claims.row(found), strict=True))
    return {
        "name": found.claim.name, "says": found.claim.says, "compared": claims.compared(found.claim),
        "word": found.verdict, "mark": _MARKS[found.verdict], "because": found.because,
        "sets": ", ".join(found.claim.sets), "overturned_by": found.claim.overturned_by,
        "facts": {name: text for name, text in cells.items() if name in claims.HEADER[3:9]},
    }  # fmt: skip


def _worlds(spec: ExperimentSpec) -> list[tuple[str, str, str]]:
    return [
        (name, ", ".join(world.evaluation), ", ".join(f"{dial} {value}" for dial, value in world.dials.items()))
        for name, world in spec.worlds.items()
    ]


def _how(results: Results, name: str) -> str:
    """What a method does, in the grid file's own words."""
    method = results.spec.methods[name]
    parts = [
        "not trained" if method.train is None else ", ".join(f"{k}: {v}" for k, v in method.train.items()) or "trained"
    ]
    said = method.model_dump(exclude_defaults=True, exclude={"label", "train"})
    return "; ".join(parts + [f"{key}: {value}" for key, value in said.items()])


def _data(path: Path) -> str:
    return f"data:image/svg+xml;base64,{base64.b64encode(path.read_bytes()).decode()}"
