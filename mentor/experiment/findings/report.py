"""From records to everything that is written of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mentor.experiment.findings import claims, maps
from mentor.experiment.findings.figures import drawn, sketches, with_several_ways
from mentor.experiment.findings.files import write_estimates, write_findings, write_tables
from mentor.experiment.findings.measured import Measured
from mentor.experiment.findings.page import write_page
from mentor.experiment.findings.results import Results
from mentor.experiment.findings.tables import tables
from mentor.experiment.findings.verdicts import verdicts
from mentor.experiment.records import RunRecord
from mentor.experiment.spec import ExperimentSpec


def report(spec: ExperimentSpec, records: Sequence[RunRecord], output: Path) -> list[Path]:
    """Write ``index.html``, ``tables.md``, ``tables.tex``, ``estimates.csv``, ``findings.json`` and ``figures/``.

    Any part of the grid's records will do: what is missing is named, and what cannot be told from what is there says so.

    Returns:
        What was written, the page first.

    Raises:
        UserError: the folder cannot be written.
    """
    results = Results(spec, records)
    measured = [Measured(results, pair) for pair in results.pairs]
    found, cells = verdicts(results), [maps.map_of(results, wanted) for wanted in spec.maps]
    main = with_several_ways(results, measured)
    shown = [*(table for one in main for table in tables(one)), *map(maps.table, cells)]
    more = [table for one in measured if one not in main for table in tables(one)]
    figures = [drawn(sketch, output / "figures") for sketch in sketches(results, measured, cells)]
    return [
        write_page(results, found, (shown, more), figures, output),
        *write_tables([claims.table(found), *shown, *more], output),
        write_estimates(measured, output),
        write_findings(results, found, cells, output),
        *(path for figure in figures for path in figure.paths),
    ]
