"""The table at the end of a distillation."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table


def print_table(summary: dict[str, Any], console: Console) -> None:
    """Models by row; accuracies in percent with their 95% intervals."""
    table = Table(title="accuracy in % with 95% interval (bootstrap over questions), sampled")
    for column in (
        "model", "in domain", "out of domain", "greedy in", "greedy out", "alignment", "tool usage", "invalid calls",
        "calls/question",
    ):  # fmt: skip
        table.add_column(column, justify="left" if column == "model" else "right")
    for name, row in summary["models"].items():
        greedy = row.get("greedy") or {}
        table.add_row(
            name, accuracy(row["in_domain"]), accuracy(row["out_of_domain"]), plain(greedy.get("in_domain")),
            plain(greedy.get("out_of_domain")), number(row["alignment_score"]), percent(row["usage_rate"]),
            percent(row["invalid_rate"]), f"{row['calls_per_question']:.2f}",
        )  # fmt: skip
    console.print(table)
    for name, difference in summary["differences"].items():
        console.print(f"{name} - vanilla, paired by question: {difference_line(difference)}")
    for service, entry in summary.get("accounting", {}).items():
        console.print(f"{service}: {entry['metrics']} calls in its metrics, {entry['trajectories']} in trajectories")
    peak = f", at most {summary['peak_memory_bytes'] / 2**30:.1f} GiB" if "peak_memory_bytes" in summary else ""
    console.print(f"{summary['seconds']['total']:.0f} s in all{peak}")


def difference_line(difference: dict[str, Any]) -> str:
    """Points gained in each group, with intervals."""
    parts = []
    for group, estimate in difference.items():
        if estimate:
            low, high = 100 * estimate["low"], 100 * estimate["high"]
            parts.append(f"{group.replace('_', ' ')} {100 * estimate['mean']:+.1f} points [{low:+.1f}, {high:+.1f}]")
    return ", ".join(parts)


def accuracy(entry: dict[str, Any] | None) -> str:
    """A mean with its interval, in percent."""
    if entry is None:
        return "-"
    return f"{100 * entry['accuracy']:.1f} [{100 * entry['low']:.1f}, {100 * entry['high']:.1f}]"


def plain(entry: dict[str, Any] | None) -> str:
    """A mean alone, in percent."""
    return "-" if entry is None else f"{100 * entry['accuracy']:.1f}"


def percent(value: float) -> str:
    """A share in percent."""
    return f"{100 * value:.1f}%"


def number(value: float | None) -> str:
    """A score with three digits."""
    return "-" if value is None else f"{value:.3f}"
