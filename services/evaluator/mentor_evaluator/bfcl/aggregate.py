"""From verdicts to the leaderboard's numbers: official weights, with what is missing said instead of counted as 0.

Every group is a weighted mean of categories. The official overall counts a category that was not run as 0, so that a run
without the agentic ones is capped at 60; here it is called partial and stands between two bounds: all that is missing wrong,
all right. Intervals are Wilson's for a category; for a group those are combined by the method of variance estimates recovery
(MOVER, Zou and Donner 2008), which stays honest at 0 and at 100%.
"""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from mentor.errors import UserError
from mentor.trajectory import Frozen
from mentor_evaluator.bfcl.categories import (
    ALL,
    FORMAT_SENSITIVITY,
    IRRELEVANCE,
    LIVE,
    MEMORY,
    MULTI_TURN,
    SIMPLE,
    SIZES,
    WEB_SEARCH,
    category_of,
)
from mentor_evaluator.bfcl.scoring import Verdict

_Z = 1.959963984540054
_OVERALL = {"non_live": 0.1, "live": 0.1, "irrelevance": 0.1, "multi_turn": 0.3, "agentic": 0.4}
Weights = Mapping[str, float]


class CategoryScore(Frozen):
    """One category. ``accuracy`` is over the entries that were scored, each the mean of its samples, with a 95% interval;
    ``entries`` is the size of the whole, and the bounds take those that are missing for wrong and for right."""

    accuracy: float
    low: float
    high: float
    scored: int
    entries: int
    samples: int
    lower: float
    upper: float
    reasons: dict[str, int]


class GroupScore(Frozen):
    """A weighted mean of categories. ``official``: what is not run counts 0. ``accuracy`` and its interval: None if partial
    (a category is not run at all). ``lower`` and ``upper``: everything missing wrong, everything right."""

    official: float
    accuracy: float | None
    low: float | None
    high: float | None
    lower: float
    upper: float
    partial: bool
    not_run: tuple[str, ...]


class Sensitivity(Frozen):
    """Format sensitivity, in points: spread of the accuracy over the variations of the system prompt. Counts nowhere."""

    accuracy: float
    max_delta: float
    std: float
    variance: float
    by_config: dict[str, float]


class Leaderboard(Frozen):
    """All numbers. ``not_run`` says why; ``subset`` names categories of which only a part was scored."""

    overall: GroupScore
    groups: dict[str, GroupScore]
    categories: dict[str, CategoryScore]
    format_sensitivity: Sensitivity | None
    not_run: dict[str, str]
    subset: tuple[str, ...]


def aggregate(verdicts: Iterable[Verdict], not_run: Mapping[str, str] | None = None) -> Leaderboard:
    """The leaderboard of one model. Several verdicts on one id are samples of it.

    Args:
        not_run: why categories without verdicts have none.

    Raises:
        UserError: there is no verdict at all.
    """
    by_category: dict[str, dict[str, list[Verdict]]] = defaultdict(lambda: defaultdict(list))
    for verdict in verdicts:
        by_category[category_of(verdict.id)][verdict.id].append(verdict)
    if not by_category:
        raise UserError("no verdict to aggregate", field="results", allowed="at least one scored result")
    scores = {name: _category(name, by_category[name]) for name in ALL if name in by_category}
    weights = group_weights(scores)
    groups = {name: _group(weights[name], scores) for name in weights}
    missing = {name: (not_run or {}).get(name, "no results") for name in ALL if name not in scores}
    return Leaderboard(
        overall=groups.pop("overall"),
        groups=groups,
        categories=scores,
        format_sensitivity=_sensitivity(by_category.get(FORMAT_SENSITIVITY)),
        not_run=missing,
        subset=tuple(name for name, score in scores.items() if score.scored < score.entries),
    )


def group_weights(scores: Mapping[str, CategoryScore]) -> dict[str, dict[str, float]]:
    """Weights of categories in every group, which add up to 1. Live ones weigh as many entries as were scored."""
    counts = {name: scores[name].scored if name in scores else SIZES[name] for name in LIVE}
    total = sum(counts.values())
    rest = dict.fromkeys(("multiple", "parallel", "parallel_multiple"), 1 / 4)
    weights: dict[str, dict[str, float]] = {
        "non_live": dict.fromkeys(SIMPLE, 1 / 12) | rest,
        "live": {name: count / total for name, count in counts.items()},
        "irrelevance": dict.fromkeys(IRRELEVANCE, 1 / 2),
        "multi_turn": dict.fromkeys(MULTI_TURN, 1 / 4),
        "web_search": dict.fromkeys(WEB_SEARCH, 1 / 2),
        "memory": dict.fromkeys(MEMORY, 1 / 3),
    }
    weights["agentic"] = _mixed(weights, {"web_search": 0.5, "memory": 0.5})
    weights["overall"] = _mixed(weights, _OVERALL)
    return weights


def _mixed(groups: Mapping[str, Weights], shares: Weights) -> dict[str, float]:
    return {name: share * w for group, share in shares.items() for name, w in groups[group].items()}


def _category(name: str, entries: Mapping[str, Sequence[Verdict]]) -> CategoryScore:
    means = [statistics.fmean(verdict.valid for verdict in samples) for samples in entries.values()]
    accuracy, size = statistics.fmean(means), max(SIZES[name], len(means))
    reasons: dict[str, int] = defaultdict(int)
    for verdict in (verdict for samples in entries.values() for verdict in samples):
        reasons[verdict.reason] += 1
    low, high = wilson(accuracy, len(means))
    return CategoryScore(
        accuracy=accuracy,
        low=low,
        high=high,
        scored=len(means),
        entries=size,
        samples=sum(map(len, entries.values())),
        lower=sum(means) / size,
        upper=(sum(means) + size - len(means)) / size,
        reasons=dict(sorted(reasons.items())),
    )


def wilson(share: float, n: int) -> tuple[float, float]:
    """95% interval of a proportion. Means of several samples vary less than single ones: it is then wider than need be."""
    centre, square = share + _Z**2 / (2 * n), _Z**2 / n
    half = _Z * math.sqrt(share * (1 - share) / n + _Z**2 / (4 * n**2))
    return max(0.0, (centre - half) / (1 + square)), min(1.0, (centre + half) / (1 + square))


def _group(weights: Weights, scores: Mapping[str, CategoryScore]) -> GroupScore:
    known = {name: scores[name] for name in weights if name in scores}
    partial = len(known) < len(weights)
    value = math.fsum(weights[name] * score.accuracy for name, score in known.items())
    down = math.sqrt(sum((weights[name] * (s.accuracy - s.low)) ** 2 for name, s in known.items()))
    up = math.sqrt(sum((weights[name] * (s.high - s.accuracy)) ** 2 for name, s in known.items()))
    missing = math.fsum(weight for name, weight in weights.items() if name not in known)
    return GroupScore(
        official=value,
        accuracy=None if partial else value,
        low=None if partial else max(0.0, value - down),
        high=None if partial else min(1.0, value + up),
        lower=math.fsum(weights[name] * s.lower for name, s in known.items()),
        upper=min(1.0, missing + math.fsum(weights[name] * s.upper for name, s in known.items())),
        partial=partial,
        not_run=tuple(name for name in weights if name not in known),
    )


def _sensitivity(entries: Mapping[str, Sequence[Verdict]] | None) -> Sensitivity | None:
    if not entries:
        return None
    by_config: dict[str, list[bool]] = defaultdict(list)
    for entry_id, samples in entries.items():
        by_config[entry_id.split(":")[1]] += [verdict.valid for verdict in samples]
    shares = {config: statistics.fmean(values) for config, values in by_config.items()}
    several = len(shares) > 1
    return Sensitivity(
        accuracy=statistics.fmean(valid for values in by_config.values() for valid in values),
        max_delta=round((max(shares.values()) - min(shares.values())) * 100, 2),
        std=round(statistics.stdev(shares.values()) * 100, 2) if several else 0.0,
        variance=round(statistics.variance(shares.values()) * 100**2, 2) if several else 0.0,
        by_config=shares,
    )
