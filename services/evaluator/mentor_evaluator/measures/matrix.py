"""What only several cells together tell: macro averages of groups, and the effect of tools."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from mentor.analysis.macro import macro_share
from mentor.analysis.means import difference
from mentor.analysis.significance import minimum_detectable, paired_test
from mentor.errors import UserError
from mentor_evaluator.matrix.plan import groups
from mentor_evaluator.measures.accuracy import correctness
from mentor_evaluator.measures.models import CellReport, Macro, RunReport, ToolEffect
from mentor_evaluator.runs import CellFolder

ALL = "all"
"""The macro average over every suite of a run."""
_WITHOUT = "no-"


def run_report(cells: Sequence[CellFolder], reports: Mapping[str, CellReport]) -> RunReport:
    """The matrix of results from its cells' reports, by ``MODEL/SUITE/ARM``."""
    known = [cell for cell in cells if cell.key in reports]
    return RunReport(
        models=list(dict.fromkeys(cell.model for cell in known)),
        suites=list(dict.fromkeys(cell.suite for cell in known)),
        arms=list(dict.fromkeys(cell.arm for cell in known)),
        cells=dict(reports),
        macro=list(_macros(known, reports)),
        tool_effects=list(_tool_effects(known)),
        accuracy={key: report.accuracy.mean for key, report in reports.items()},
        invalid_rate={key: report.usage.invalid_rate for key, report in reports.items()},
        warnings=[f"{key}: {text}" for key, report in reports.items() for text in report.warnings],
    )


def _macros(cells: Sequence[CellFolder], reports: Mapping[str, CellReport]) -> Iterator[Macro]:
    members = groups()
    rows = dict.fromkeys((cell.model, cell.arm) for cell in cells)
    for model, arm in rows:
        mine = {cell.suite: reports[cell.key] for cell in cells if (cell.model, cell.arm) == (model, arm)}
        names = [ALL, *dict.fromkeys(group for report in mine.values() for group in report.groups)]
        for group in names:
            suites = [name for name, report in mine.items() if group in (ALL, *report.groups)]
            if len(suites) < 2:
                continue
            yield Macro(
                model=model, arm=arm, group=group, suites=suites,
                missing=[name for name in members.get(group, ()) if name not in suites],
                accuracy=macro_share([mine[name].accuracy for name in suites]),
            )  # fmt: skip


def _tool_effects(cells: Sequence[CellFolder]) -> Iterator[ToolEffect]:
    by_key = {cell.key: cell for cell in cells}
    for cell in cells:
        bare = by_key.get(f"{cell.model}/{cell.suite}/{_WITHOUT}{cell.arm}")
        if bare is None:
            continue
        without, with_ = correctness(bare.trajectories), correctness(cell.trajectories)
        try:
            tested = paired_test(without, with_)
        except UserError:  # every question that both were asked was lost on one side
            continue
        yield ToolEffect(
            model=cell.model, suite=cell.suite, with_arm=cell.arm, without_arm=bare.arm,
            difference=difference(without, with_, bound=1.0), p=tested.p, method=tested.method,
            detectable=minimum_detectable(without, with_),
        )  # fmt: skip
