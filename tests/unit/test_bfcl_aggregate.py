"""BFCL's numbers: official weights, bounds around what was not run, intervals that cover."""

from __future__ import annotations

import numpy as np
import pytest

from mentor.errors import UserError
from mentor_evaluator.bfcl.aggregate import Leaderboard, aggregate, wilson
from mentor_evaluator.bfcl.categories import AGENTIC, ALL, FORMAT_SENSITIVITY, LIVE, SCORED, SIZES, expand
from mentor_evaluator.bfcl.scoring import Verdict


def verdicts(category: str, right: int, n: int | None = None) -> list[Verdict]:
    """So many right of ``n`` entries."""
    size = SIZES[category] if n is None else n
    return [
        Verdict(id=f"{category}_{k}", valid=k < right, reason="right" if k < right else "wrong") for k in range(size)
    ]


def board(shares: dict[str, float]) -> Leaderboard:
    return aggregate(v for name, share in shares.items() for v in verdicts(name, round(share * SIZES[name])))


def test_a_whole_run_weighs_as_the_official_table_does() -> None:
    found = board(
        dict.fromkeys(SCORED, 1.0) | {"simple_java": 0.0, "live_simple": 0.0, "irrelevance": 0.5, "memory_kv": 0.0}
    )
    assert found.groups["non_live"].accuracy == pytest.approx(1 - 1 / 12)
    assert found.groups["live"].accuracy == pytest.approx(1 - 258 / sum(SIZES[name] for name in LIVE))
    assert found.groups["irrelevance"].accuracy == pytest.approx(0.75)
    assert found.groups["memory"].accuracy == pytest.approx(2 / 3)
    assert found.groups["agentic"].accuracy == pytest.approx(5 / 6)
    parts = {name: found.groups[name].official for name in ("non_live", "live", "irrelevance", "multi_turn", "agentic")}
    expected = 0.1 * (parts["non_live"] + parts["live"] + parts["irrelevance"]) + 0.3 + 0.4 * parts["agentic"]
    assert found.overall.official == found.overall.accuracy == pytest.approx(expected)
    assert not found.overall.partial and found.not_run == {FORMAT_SENSITIVITY: "no results"}
    assert found.overall.lower == pytest.approx(found.overall.upper) == pytest.approx(expected)


def test_without_the_agentic_categories_the_overall_is_partial_and_bounded_never_silently_capped() -> None:
    run = [name for name in SCORED if name not in AGENTIC]
    found = aggregate((v for n in run for v in verdicts(n, SIZES[n])), {"web_search_base": "needs a key"})
    assert found.overall.partial and found.overall.accuracy is None and found.overall.low is None
    assert found.overall.official == found.overall.lower == pytest.approx(0.6)
    assert found.overall.upper == pytest.approx(1.0)
    assert found.not_run["web_search_base"] == "needs a key" and set(found.overall.not_run) == set(AGENTIC)
    assert found.groups["multi_turn"].accuracy == 1.0 and not found.groups["multi_turn"].partial


def test_a_subset_is_named_and_bounded_by_the_whole_category() -> None:
    found = aggregate(verdicts("multi_turn_base", 30, 50))
    score = found.categories["multi_turn_base"]
    assert (score.accuracy, score.scored, score.entries) == (0.6, 50, 200)
    assert (score.lower, score.upper) == (30 / 200, 180 / 200)
    assert found.subset == ("multi_turn_base",)


def test_samples_of_one_entry_are_averaged_first() -> None:
    rows = [Verdict(id="simple_python_0", valid=valid, reason="x") for valid in (True, False)]
    found = aggregate([*rows, Verdict(id="simple_python_1", valid=True, reason="right")])
    assert found.categories["simple_python"].accuracy == 0.75
    assert found.categories["simple_python"].samples == 3


def test_format_sensitivity_is_told_by_variation_and_counts_nowhere() -> None:
    rows = [
        Verdict(id=f"format_sensitivity_{n}:{config}:simple_python_{n}", valid=valid, reason="x")
        for n, (config, valid) in enumerate([("a", True), ("a", True), ("b", True), ("b", False)])
    ]
    found = aggregate(rows)
    assert found.format_sensitivity is not None
    assert found.format_sensitivity.by_config == {"a": 1.0, "b": 0.5}
    assert (found.format_sensitivity.max_delta, found.format_sensitivity.std) == (50.0, 35.36)
    assert found.overall.official == 0.0 and set(found.overall.not_run) == set(SCORED) - {"live_relevance"}


def test_nothing_is_an_error() -> None:
    with pytest.raises(UserError):
        aggregate([])


@pytest.mark.parametrize(("share", "n"), [(0.0, 30), (0.03, 30), (0.5, 30), (0.97, 200), (1.0, 30)])
def test_wilsons_interval_covers(share: float, n: int) -> None:
    drawn = np.random.default_rng(0).binomial(n, share, 2000)
    covered = [low <= share <= high for low, high in (wilson(k / n, n) for k in drawn)]
    assert np.mean(covered) >= 0.93


def test_the_combined_interval_covers_and_has_width_at_the_edge() -> None:
    rng, truth = np.random.default_rng(0), {"web_search_base": 0.95, "web_search_no_snippet": 0.6}
    value, hits = sum(truth.values()) / 2, 0
    for _ in range(400):
        rows = [v for name, share in truth.items() for v in verdicts(name, rng.binomial(30, share), 30)]
        group = aggregate(rows).groups["web_search"]
        assert group.low is not None and group.high is not None
        hits += group.low <= value <= group.high
    assert hits / 400 >= 0.93
    perfect = board(dict.fromkeys(SCORED, 1.0)).overall
    assert perfect.low is not None and perfect.low < 0.999 < perfect.upper and perfect.high == pytest.approx(1.0)


def test_categories_expand_in_official_order_and_unknown_ones_are_refused() -> None:
    assert expand(["memory", "simple_python"]) == ("simple_python", "memory_kv", "memory_vector", "memory_rec_sum")
    assert expand(["all"]) == ALL
    with pytest.raises(UserError, match="nonsense"):
        expand(["nonsense"])
