"""Tables of comparisons, leaderboards and cells on the terminal."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.console import Console
from rich.table import Table

from mentor.analysis.intervals import Estimate
from mentor.cli.console import wide_console
from mentor_evaluator.comparing.models import Comparison, Leaderboard, Standing
from mentor_evaluator.measures.models import CellReport


def points(estimate: Estimate, sign: str = "") -> str:
    """In percent, with its interval."""
    mean, low, high = (100 * value for value in (estimate.mean, estimate.low, estimate.high))
    return f"{mean:{sign}.1f} [{low:{sign}.1f}, {high:{sign}.1f}]"


def _p(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def print_comparison(found: Comparison, changed: int) -> None:
    """Suites by row, then what changed sides and in what the runs differ."""
    console = wide_console()
    table = _table(f"b - a in points, paired by question; a = {found.a}, b = {found.b}",
                   ("suite", "arm"), ("n", "a", "b", "b - a", "better", "worse", "p", "p (Holm)", "found 4 in 5"))  # fmt: skip
    for s in found.suites:
        star = "*" if s.significant else ""
        table.add_row(
            s.suite, s.arm, str(s.questions), points(s.a), points(s.b), points(s.difference, "+") + star, str(s.better),
            str(s.worse), _p(s.p), _p(s.p_holm), f"{100 * s.detectable:.1f}",
        )  # fmt: skip
    console.print(table)
    for macro in found.macro:
        console.print(f"macro average over {', '.join(macro.suites)} ({macro.arm}): {points(macro.difference, '+')}")
    for s in found.suites:
        use = s.usage
        console.print(
            f"{s.suite}/{s.arm}: calls {_plain(use.calls)}, failed calls {_plain(use.invalid_calls)}, "
            f"generated tokens {_plain(use.generated_tokens)} per sample",
            markup=False,
        )
        for one in s.changed[:changed]:
            sides = f"{one.answers_a} {one.a:.2f} -> {one.answers_b} {one.b:.2f}"
            console.print(f"  {one.id}: {sides}, accepted {one.accepted}", markup=False)
    _notes(console, [f"{s.part} ({s.where}): {s.a} against {s.b}" for s in found.settings], "they differ in")
    _notes(console, found.warnings, "to be read with care:")


def print_leaderboard(found: Leaderboard) -> None:
    """Entries by row."""
    console = wide_console()
    table = _table("accuracy in % with 95% interval; ! significantly below the best (p < 0.05 after Holm)",
                   ("#", "model", "arm", "run"), (*found.suites, *(f"macro {group}" for group in found.groups)))  # fmt: skip
    for entry in found.entries:
        cells = [_standing(entry.suites.get(suite)) for suite in found.suites]
        macros = [points(entry.macro[group]) for group in found.groups]
        table.add_row(str(entry.rank), entry.model, entry.arm, entry.run, *cells, *macros)
    console.print(table)
    _notes(console, [f"{s.part} ({s.where}): {s.a} against {s.b}" for s in found.settings], "runs differ in")
    _notes(console, found.warnings, "to be read with care:")


def print_cell(key: str, report: CellReport) -> None:
    """Every figure of a cell."""
    console = wide_console()
    table = _table(key, ("figure",), ("value with 95% interval",))
    rows: dict[str, Any] = {"accuracy %": points(report.accuracy)}
    for name, group in (("avg", report.avg_at_k), ("pass", report.pass_at_k), ("maj", report.maj_at_k)):
        rows |= {f"{name}@{k} %": points(estimate) for k, estimate in group.items()}
    rows |= {f"{name} %": points(estimate) for name, estimate in report.measures.items()}
    rows |= {f"category {name} %": points(estimate) for name, estimate in report.categories.items()}
    rows |= {"tool usage %": points(report.rates.usage), "calls per question": _plain(report.rates.calls_per_question)}
    rows |= {f"invalid, {kind} %": points(e) for kind, e in report.rates.invalid_by_kind.items()}
    about = " (estimated)" if report.tokens.estimated else ""
    rows |= {
        f"prompt tokens{about}": _plain(report.tokens.prompt),
        f"generated tokens{about}": _plain(report.tokens.generated),
    }
    rows["seconds, median"] = f"{report.latency.median.value:.2f}"
    rows["seconds, p95"] = f"{report.latency.p95.value:.2f}"
    if report.cost:
        rows["cost per right answer"] = "-" if report.cost.per_right is None else f"{report.cost.per_right:.4g}"
    if report.alignment:
        score = report.alignment
        rows["alignment"] = f"{score.alignment_score:.3f} [{score.interval[0]:.3f}, {score.interval[1]:.3f}]"
        rows["alignment of an identical policy"] = f"{score.noise_floor:.3f}"
    rows |= {f"ended: {name}": str(count) for name, count in report.usage.terminations.items()}
    rows |= {f"counted: {name}": str(count) for name, count in report.endings.model_dump().items()}
    for name, value in rows.items():
        table.add_row(name, value)
    console.print(table)
    _notes(console, report.warnings, "to be read with care:")


def _standing(standing: Standing | None) -> str:
    if standing is None:
        return "-"
    return points(standing.accuracy) + (" best" if standing.best else "!" if standing.significant else "")


def _plain(estimate: Estimate) -> str:
    return f"{estimate.mean:.4g} [{estimate.low:.4g}, {estimate.high:.4g}]"


def _table(title: str, words: Iterable[str], numbers: Iterable[str]) -> Table:
    table = Table(title=title)
    for column in words:
        table.add_column(column, overflow="fold")
    for column in numbers:
        table.add_column(column, justify="right", overflow="fold")
    return table


def _notes(console: Console, notes: list[str], title: str) -> None:
    if notes:
        console.print(title)
    for note in notes:
        console.print(f"  {note}", markup=False)
