"""Training curves: means over seeds with bands, over steps and over generated tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mentor.analysis.clusters import Array
from mentor.analysis.scatter import t_quantile
from mentor.experiment.findings.results import Pair, Results
from mentor.experiment.records import RunRecord

_WINDOW = 25
"""Curves are running means over a window of this part of their steps: a step is a few questions, and noisy."""
_POINTS = 120
LENGTH, SAMPLES = "response_tokens", "samples"


@dataclass(frozen=True)
class Curve:
    """``x``, ``mean``, ``low``, ``high`` have shape (points,). The band is 95% over seeds, at every point for itself (Student's
    t); with one seed it is the line."""

    x: Array
    mean: Array
    low: Array
    high: Array
    seeds: int


def over_steps(results: Results, pair: Pair, method: str, metric: str) -> Curve | None:
    """A metric of training over steps; None where no run has it twice."""
    return _curve([_series(record, metric) for record in _records(results, pair, method)])


def over_tokens(results: Results, pair: Pair, method: str, metric: str) -> Curve | None:
    """The same over tokens that training has generated so far; None where runs do not say how many."""
    rows = []
    for record in _records(results, pair, method):
        steps, values = _series(record, metric)
        written = _tokens(record)
        if written is not None and len(steps):
            rows.append((np.interp(steps, *written), values))
    return _curve(rows)


def _records(results: Results, pair: Pair, method: str) -> list[RunRecord]:
    return [run.record for run in results.seeds(*pair, method).values()]


def _series(record: RunRecord, metric: str) -> tuple[Array, Array]:
    """Steps and values, both (points,)."""
    found = [(_step(n, row), row[metric]) for n, row in enumerate(record.steps, start=1) if metric in row]
    values = np.array(found, dtype=float).reshape(-1, 2)
    return values[:, 0], values[:, 1]


def _step(number: int, row: Mapping[str, float]) -> float:
    return row.get("step", float(number))


def _tokens(record: RunRecord) -> tuple[Array, Array] | None:
    """Steps and tokens until then: by each step's own responses where it says how long they were, else evenly spread.

    Tools' answers count as responses in both, as the trainer counts them.
    """
    total = record.tokens.get("training", 0.0)
    if not total or not record.steps:
        return None
    steps = np.array([_step(n, row) for n, row in enumerate(record.steps, start=1)])
    spent = np.array([row.get(LENGTH, 0.0) * row.get(SAMPLES, 1.0) for row in record.steps])
    grown = np.cumsum(spent if spent.all() else np.ones(len(steps)))
    return steps, total * grown / grown[-1]


def _curve(rows: Sequence[tuple[Array, Array]]) -> Curve | None:
    """Seeds' series on one axis, as far as all of them go."""
    kept = [(x, _smooth(y)) for x, y in rows if len(x) > 1]
    if not kept:
        return None
    x = np.linspace(max(x[0] for x, _ in kept), min(x[-1] for x, _ in kept), _POINTS)
    values = np.array([np.interp(x, at, y) for at, y in kept])
    mean = values.mean(axis=0)
    reach = np.zeros(_POINTS)
    if len(kept) > 1:
        reach = t_quantile(len(kept) - 1, 0.975) * values.std(axis=0, ddof=1) / np.sqrt(len(kept))
    return Curve(x, mean, mean - reach, mean + reach, len(kept))


def _smooth(values: Array) -> Array:
    """Centred running mean, over fewer points near the ends."""
    half = len(values) // _WINDOW // 2
    return np.array([values[max(0, n - half) : n + half + 1].mean() for n in range(len(values))])
