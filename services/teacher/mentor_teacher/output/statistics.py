"""Statistics of a data set: what was drawn, what became of it, and how it looks. Infrastructure failures enter no rate."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from statistics import quantiles

from mentor.analysis import ToolUsage, tool_usage
from mentor.data.fates import KEPT, LOST, SURPLUS, WHY, fate
from mentor.rollout.solve import CORRECT
from mentor.trajectory import Frozen, Trajectory
from mentor_teacher.filters.length import sizes
from mentor_teacher.output.layout import by_question

BINS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
_EXAMPLES = 3


class Band(Frozen):
    """Questions of one difficulty: those whose pass rate is at most ``high`` and above the band before. ``share``: of their
    samples, those that no filter dropped."""

    label: str
    questions: int
    samples: int
    stayed: int
    with_references: int

    @property
    def share(self) -> float:
        return self.stayed / max(1, self.samples)


class Example(Frozen):
    """A trajectory that was dropped, and why."""

    question_id: str
    sample: int
    question: str
    why: str
    said: str


class Spread(Frozen):
    """A measure of what was kept: quartiles and extremes, and how often each value (or bin) occurs."""

    name: str
    least: float
    quarter: float
    median: float
    three_quarters: float
    most: float
    counts: dict[str, int]


class Statistics(Frozen):
    """``steps``: trajectories by what became of them, in the order of the filters. ``usage``: of what was kept."""

    questions: int
    questions_with_references: int
    trajectories: int
    kept: int
    surplus: int
    lost: int
    steps: dict[str, int]
    usage: ToolUsage
    tools: dict[str, dict[str, int]]
    spreads: tuple[Spread, ...]
    difficulty: tuple[Band, ...]
    examples: dict[str, tuple[Example, ...]]


def statistics(
    trajectories: Sequence[Trajectory], questions: int, order: Sequence[str] = (), examples: int = _EXAMPLES
) -> Statistics:
    """Of every trajectory with its fate.

    Args:
        questions: asked in all.
        order: filters as they ran; any other fate comes after them.
        examples: shown of what each filter dropped.
    """
    counts = Counter(fate(t) or "unmarked" for t in trajectories)
    kept = [t for t in trajectories if fate(t) == KEPT]
    gone = [name for name in dict.fromkeys((*order, *counts)) if name not in (KEPT, SURPLUS, LOST)]
    return Statistics(
        questions=questions, questions_with_references=len({t.question_id for t in kept}), trajectories=len(trajectories),
        kept=counts[KEPT], surplus=counts[SURPLUS], lost=counts[LOST], steps={name: counts[name] for name in gone},
        usage=tool_usage(kept), tools=_tools(kept), spreads=tuple(_spreads(kept)), difficulty=_difficulty(trajectories),
        examples={name: found for name in gone if (found := _examples(trajectories, name, examples))},
    )  # fmt: skip


def _tools(kept: Sequence[Trajectory]) -> dict[str, dict[str, int]]:
    """Calls by tool, most used first: how many worked, and how many failed."""
    found: dict[str, dict[str, int]] = {}
    for trajectory in kept:
        for call, seen in trajectory.pairs():
            entry = found.setdefault(call.name or "?", {"ok": 0, "failed": 0})
            entry["ok" if seen.ok else "failed"] += 1
    return dict(sorted(found.items(), key=lambda item: -sum(item[1].values())))


def _spreads(kept: Sequence[Trajectory]) -> list[Spread]:
    measured = [sizes(t) for t in kept]
    columns: dict[str, list[int]] = {
        "turns": [m[0] for m in measured], "calls": [m[1] for m in measured], "characters": [m[2] for m in measured],
        "tokens": [m[3] for m in measured if m[3] is not None],
    }  # fmt: skip
    return [_spread(name, values) for name, values in columns.items() if values]


def _spread(name: str, values: Sequence[int]) -> Spread:
    quarters = quantiles(values, n=4, method="inclusive") if len(values) > 1 else [values[0]] * 3
    return Spread(
        name=name, least=min(values), quarter=quarters[0], median=quarters[1], three_quarters=quarters[2],
        most=max(values), counts=_counts(values),
    )  # fmt: skip


def _counts(values: Sequence[int]) -> dict[str, int]:
    """How often each value occurs; of many different ones, in up to 20 bins of equal width."""
    low, high = min(values), max(values)
    width = max(1, -(-(high - low + 1) // 20))
    found = Counter((value - low) // width for value in values)
    labels = {n: low + n * width for n in range(max(found) + 1)}
    return {str(at) if width == 1 else f"{at}–{at + width - 1}": found[n] for n, at in labels.items()}


def _difficulty(trajectories: Sequence[Trajectory]) -> tuple[Band, ...]:
    """By pass rate: the hardest questions, which nothing got right, have a band of their own."""
    bands: list[list[tuple[int, int, bool]]] = [[] for _ in BINS]
    for samples in by_question(t for t in trajectories if not t.failed).values():
        rate = sum(bool(t.metadata.get(CORRECT)) for t in samples) / len(samples)
        stayed = sum(fate(t) in (KEPT, SURPLUS) for t in samples)
        place = next(n for n, high in enumerate(BINS) if rate <= high)
        bands[place].append((len(samples), stayed, any(fate(t) == KEPT for t in samples)))
    return tuple(
        Band(
            label="0" if n == 0 else f"to {BINS[n]:g}", questions=len(band), samples=sum(b[0] for b in band),
            stayed=sum(b[1] for b in band), with_references=sum(b[2] for b in band),
        )
        for n, band in enumerate(bands)
    )  # fmt: skip


def _examples(trajectories: Sequence[Trajectory], name: str, most: int) -> tuple[Example, ...]:
    """Of different questions where there are enough."""
    found = [t for t in trajectories if fate(t) == name]
    first = list({t.question_id: t for t in reversed(found)}.values())[::-1]
    chosen = (first if len(first) >= most else found)[:most]
    return tuple(
        Example(
            question_id=t.question_id, sample=t.sample, question=t.question, why=str(t.metadata.get(WHY, "")),
            said=t.turns[-1].text if t.turns else (t.error or ""),
        )
        for t in chosen
    )  # fmt: skip


def funnel(found: Statistics) -> list[tuple[str, int, int]]:
    """A waterfall of trajectories: name, change, what is left. Lost ones first, then filters in their order, then surplus."""
    left = found.trajectories
    rows = [("drawn", left, left)]
    for name, gone in (("lost to infrastructure", found.lost), *found.steps.items(), ("surplus", found.surplus)):
        left -= gone
        rows.append((name, -gone, left))
    return [*rows, ("kept", left, left)]
