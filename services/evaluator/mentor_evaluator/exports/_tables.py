"""The two tables of the paper's shape, as cells of text: accuracies by suite, and what each model changes."""

from __future__ import annotations

from collections.abc import Sequence

from mentor.analysis.intervals import Estimate
from mentor.errors import UserError
from mentor.tabular import NONE, Table
from mentor_evaluator.comparing.compare import compare_runs
from mentor_evaluator.measures.matrix import ALL
from mentor_evaluator.measures.models import CellReport, RunReport
from mentor_evaluator.measures.reading import report_of
from mentor_evaluator.runs import Run


def tables(run: Run) -> list[Table]:
    """Both."""
    report = report_of(run)
    return [accuracies(report), ablation(run, report)]


def accuracies(report: RunReport) -> Table:
    """Table 2's shape: models by suites, with the macro average over all of them."""
    macro = {(m.model, m.arm): m.accuracy for m in report.macro if m.group == ALL}
    rows = [
        (
            model, arm,
            *(_percent(cell.accuracy) if (cell := report.cells.get(f"{model}/{suite}/{arm}")) else NONE
              for suite in report.suites),
            _percent(macro[model, arm]) if (model, arm) in macro else NONE,
        )
        for model, arm in pairs(report)
    ]  # fmt: skip
    sizes = [max(c.questions for k, c in report.cells.items() if k.split("/")[1] == s) for s in report.suites]
    heads = [f"{suite} (n={size})" for suite, size in zip(report.suites, sizes, strict=True)]
    return Table("Accuracy in % with 95% intervals", ("model", "arm", *heads, "macro average"), tuple(rows))


def ablation(run: Run, report: RunReport) -> Table:
    """Table 3's shape: every model against the first, with what its tool use looks like."""
    first = report.models[0]
    rows = []
    for model, arm in pairs(report):
        cells = [cell for key, cell in report.cells.items() if key.startswith(f"{model}/") and key.endswith(f"/{arm}")]
        rows.append((model, arm, _mean([c.accuracy.mean for c in cells], 100), _change(run, first, model, arm),
                     *_use(cells)))  # fmt: skip
    header = ("model", "arm", "macro average", f"change to {first}", "alignment", "usage %", "calls", "invalid %")
    return Table(f"Every model beside {first}", header, tuple(rows))


def pairs(report: RunReport) -> list[tuple[str, str]]:
    """Models with the arms in which they were asked, in the order of cells."""
    return list(dict.fromkeys((key.split("/")[0], key.split("/")[2]) for key in report.cells))


def _use(cells: Sequence[CellReport]) -> tuple[str, ...]:
    scores = [c.alignment.alignment_score for c in cells if c.alignment]
    return (
        _mean(scores, 100),
        _mean([c.rates.usage.mean for c in cells], 100),
        _mean([c.rates.calls_per_question.mean for c in cells], 1, 2),
        _mean([c.rates.invalid.mean for c in cells if c.rates.invalid], 100),
    )


def _change(run: Run, first: str, model: str, arm: str) -> str:
    """Points gained over the suites that both have; a star where a single suite's difference is significant."""
    if model == first:
        return NONE
    try:
        found = compare_runs(run, run, model_a=first, model_b=model, even_if=("sampling", "limits"))
    except UserError:
        return NONE
    suites = [suite for suite in found.suites if suite.arm == arm]
    macro = next((m.difference for m in found.macro if m.arm == arm), suites[0].difference if suites else None)
    if macro is None:
        return NONE
    star = "*" if any(suite.significant for suite in suites) else ""
    return f"{100 * macro.mean:+.1f} [{100 * macro.low:+.1f}, {100 * macro.high:+.1f}]{star}"


def _percent(estimate: Estimate) -> str:
    return f"{100 * estimate.mean:.1f} [{100 * estimate.low:.1f}, {100 * estimate.high:.1f}]"


def _mean(values: Sequence[float], scale: float, digits: int = 1) -> str:
    return f"{scale * sum(values) / len(values):.{digits}f}" if values else NONE
