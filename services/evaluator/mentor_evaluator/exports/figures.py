"""figures: accuracies over suites, alignment against accuracy, use of tools beside the teacher's, calls and invalid calls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mentor.drawing import MARKERS, Theme, legend_below, offsets, style, with_interval, write_figure
from mentor.errors import UserError
from mentor_evaluator.exports._tables import pairs
from mentor_evaluator.measures.models import CellReport, RunReport
from mentor_evaluator.measures.reading import report_of
from mentor_evaluator.runs import Run

_TEACHER = "teacher (reference)"
_MOST_TOOLS = 16
_PERCENT = (-4, 104)
"""Room for whole markers at 0 and at 100."""
Series = Mapping[str, Mapping[str, CellReport]]
"""By label (model, and arm where there are several), by suite."""


class _Figures:
    name = "figures"
    summary = "figures 1, 3, 4 and 5 in the paper's shape, as SVG and PNG, light and dark"

    def export(self, run: Run, folder: Path) -> Sequence[Path]:
        report = report_of(run)
        series = _series(report)
        written = write_figure(lambda f, t: _accuracies(f, t, report.suites, series), _wide(report), folder, "figure1")
        if any(map(_has_score, report.cells.values())):
            written += write_figure(
                lambda f, t: _alignments(f, t, report.suites, series), (6.5, 4.4), folder, "figure3"
            )
        shares = _shares(report, series)
        if shares:
            written += write_figure(
                lambda f, t: _tools(f, t, shares, list(series)),
                (6.5, max(2.6, 1.2 + 0.36 * _rows(shares))),
                folder,
                "figure4",
            )
        calling = {label: cells for label, cells in series.items() if _calls(cells)}
        if calling:
            written += write_figure(lambda f, t: _use(f, t, report.suites, calling), _wide(report), folder, "figure5")
        if not written:
            raise UserError("the run has nothing to draw", field="run", allowed="a run with samples")
        return written


def _series(report: RunReport) -> dict[str, dict[str, CellReport]]:
    several = len(report.arms) > 1
    found = {}
    for model, arm in pairs(report):
        cells = {s: c for s in report.suites if (c := report.cells.get(f"{model}/{s}/{arm}"))}
        found[f"{model}, {arm}" if several else model] = cells
    return found


def _wide(report: RunReport) -> tuple[float, float]:
    return max(6.5, 1.6 + 0.3 * len(report.suites) * len(pairs(report))), 3.8


def _calls(cells: Mapping[str, CellReport]) -> int:
    return sum(cell.usage.calls for cell in cells.values())


def _over_suites(axes: Any, suites: Sequence[str]) -> None:
    axes.set_xticks(
        range(len(suites)), suites, rotation=20 if len(suites) > 3 else 0, ha="right" if len(suites) > 3 else "center"
    )
    axes.set_xlim(-0.5, len(suites) - 0.5)
    axes.grid(False, axis="x")


def _accuracies(figure: Any, theme: Theme, suites: Sequence[str], series: Series) -> None:
    axes = figure.subplots()
    for place, (offset, (label, cells)) in enumerate(zip(offsets(len(series)), series.items(), strict=True)):
        for number, suite in enumerate(suites):
            if suite in cells:
                with_interval(axes, number + offset, cells[suite].accuracy, label=label, **style(theme, place))
    _over_suites(axes, suites)
    axes.set_ylim(*_PERCENT)
    axes.set_ylabel("accuracy in %, 95% interval")
    legend_below(figure, axes, 3)


def _alignments(figure: Any, theme: Theme, suites: Sequence[str], series: Series) -> None:
    from matplotlib.lines import Line2D

    axes = figure.subplots()
    drawn = [(label, cells) for label, cells in series.items() if any(map(_has_score, cells.values()))]
    for label, cells in drawn:
        colour = style(theme, list(series).index(label))["color"]
        for suite, cell in cells.items():
            if _has_score(cell):
                _aligned_point(axes, cell, colour, MARKERS[suites.index(suite) % len(MARKERS)], theme)
    axes.set_xlabel(
        "alignment score with the teacher, 95% interval; thin bar: what an identical policy scores on average"
    )
    axes.xaxis.label.set_size(8)
    axes.set_ylabel("accuracy in %, 95% interval")
    axes.set_ylim(*_PERCENT)
    colours = {label: style(theme, list(series).index(label))["color"] for label, _ in drawn}
    handles = [Line2D([], [], linestyle="none", marker="o", color=colour) for colour in colours.values()]
    marks = [
        Line2D([], [], linestyle="none", marker=MARKERS[n % len(MARKERS)], color=theme.ink) for n in range(len(suites))
    ]
    figure.legend([*handles, *marks], [*colours, *suites], loc="outside lower center", ncols=3)


def _has_score(cell: CellReport) -> bool:
    """Who called no tool, as without tools, has no distribution to align."""
    return cell.alignment is not None and cell.alignment.student_calls > 0


def _aligned_point(axes: Any, cell: CellReport, colour: str, marker: str, theme: Theme) -> None:
    score, found = cell.alignment, cell.accuracy
    assert score is not None
    low, high = score.interval
    across = [[max(0.0, score.alignment_score - low)], [max(0.0, high - score.alignment_score)]]
    upward = [[100 * (found.mean - found.low)], [100 * (found.high - found.mean)]]
    axes.errorbar(score.alignment_score, 100 * found.mean, xerr=across, yerr=upward, color=colour, marker=marker, markersize=6,
                  elinewidth=1.1, capsize=2)  # fmt: skip
    axes.plot(score.noise_floor, 100 * found.mean, marker="|", markersize=12, color=colour, alpha=0.8)


def _shares(report: RunReport, series: Series) -> dict[str, dict[str, float]]:
    """Shares of tools among calls, by label, the teacher first where it is known."""
    found: dict[str, dict[str, float]] = {}
    said: dict[str, Mapping[str, int]] = {}  # a suite's teacher is the same for every model
    for cells in series.values():
        said |= {suite: c.reference_tool_counts for suite, c in cells.items() if c.reference_tool_counts}
    teacher = _summed(list(said.values()))
    if teacher:
        found[_TEACHER] = teacher
    for label, cells in series.items():
        counts = _summed([cell.tool_counts for cell in cells.values()])
        if counts:
            found[label] = counts
    return found


def _summed(counts: Sequence[Mapping[str, int]]) -> dict[str, float]:
    total: dict[str, float] = {}
    for row in counts:
        for tool, number in row.items():
            total[tool] = total.get(tool, 0.0) + number
    whole = sum(total.values())
    return {tool: number / whole for tool, number in total.items()} if whole else {}


def _ordered(shares: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Tools, most used first by whom is named first; the rest by any."""
    first = next(iter(shares.values()))
    tools = {tool for row in shares.values() for tool in row}
    return sorted(tools, key=lambda t: (-first.get(t, 0.0), -max(row.get(t, 0.0) for row in shares.values()), t))[
        :_MOST_TOOLS
    ]


def _rows(shares: Mapping[str, Mapping[str, float]]) -> int:
    return len(_ordered(shares)) * max(2, len(shares)) // 2


def _tools(figure: Any, theme: Theme, shares: Mapping[str, Mapping[str, float]], labels: Sequence[str]) -> None:
    axes, tools = figure.subplots(), _ordered(shares)
    height = 0.8 / len(shares)
    for place, (label, row) in enumerate(shares.items()):
        colour = theme.ink if label == _TEACHER else style(theme, labels.index(label))["color"]
        at = [number + (place - (len(shares) - 1) / 2) * height for number in range(len(tools))]
        axes.barh(at, [100 * row.get(tool, 0.0) for tool in tools], height=0.9 * height, color=colour, label=label)
    axes.set_yticks(range(len(tools)), tools)
    axes.invert_yaxis()
    axes.grid(False, axis="y")
    axes.set_xlabel("share of calls in %")
    legend_below(figure, axes, 2)


def _use(figure: Any, theme: Theme, suites: Sequence[str], series: Series) -> None:
    left, right = figure.subplots(1, 2)
    for place, (offset, (label, cells)) in enumerate(zip(offsets(len(series)), series.items(), strict=True)):
        for number, suite in enumerate(suites):
            if suite not in cells:
                continue
            rates, look = cells[suite].rates, {"label": label, **style(theme, place)}
            with_interval(left, number + offset, rates.calls_per_question, 1.0, **look)
            if rates.invalid is not None:
                with_interval(right, number + offset, rates.invalid, **look)
    for axes, title in ((left, "calls per question"), (right, "invalid calls in % of calls")):
        _over_suites(axes, suites)
        axes.set_xticks(range(len(suites)), suites, rotation=20, ha="right")
        axes.set_ylim(bottom=-0.04 * axes.get_ylim()[1])
        axes.set_title(title, loc="left")
    legend_below(figure, left, 3)


PLUGIN = _Figures()
