"""Means over seeds and questions: against closed forms, against scipy where one factor is all there is, and by simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from scipy.special import ndtr

from mentor.analysis.clusters import Clusters
from mentor.analysis.crossed import (
    Cells,
    against_value,
    amount_over_seeds,
    difference_over_seeds,
    share_over_seeds,
)
from mentor.analysis.means import amount, difference
from mentor.analysis.scatter import Scatter, scatter_of
from mentor.analysis.shares import exact_interval, exact_p, share, share_of
from mentor.errors import UserError


def cells(values: np.ndarray, size: float = 1.0) -> Cells:
    return {s: {f"q{q}": (float(x) * size, size) for q, x in enumerate(row)} for s, row in enumerate(values)}


def test_the_variance_is_that_of_a_two_way_analysis() -> None:
    values = np.random.default_rng(0).normal(size=(4, 30)) + np.arange(4)[:, None] + np.arange(30)[None, :] / 9
    found = scatter_of(values - values.mean())
    mean_squares = (
        30 * values.mean(axis=1).var(ddof=1),
        4 * values.mean(axis=0).var(ddof=1),
        ((values - values.mean(axis=1)[:, None] - values.mean(axis=0) + values.mean()) ** 2).sum() / (3 * 29),
    )
    assert found.seeds == pytest.approx(mean_squares[0] / 120)
    assert found.questions == pytest.approx(
        mean_squares[1] / 120 * 29 / 31
    )  # the two made-up questions of difference()
    assert found.apart == pytest.approx(found.questions - mean_squares[2] / 120)
    assert found.freedom == (3, 29) and 0 < found.seed_share < 1


def test_one_seed_is_an_interval_over_questions() -> None:
    rows = np.random.default_rng(1).integers(0, 2, (1, 50)).astype(float)
    found, alone = share_over_seeds(cells(rows)), share_of(Clusters(rows[0], np.ones(50)))
    assert found.seeds == 1 and found.scatter.freedom == (0, 49) and found.scatter.seed_share == 0
    assert (found.low, found.high) == pytest.approx((alone.low, alone.high), abs=0.01)
    counts = np.random.default_rng(2).poisson(2, (1, 50)).astype(float)
    more, wanted = amount_over_seeds(cells(counts)), amount({str(q): [x] for q, x in enumerate(counts[0])})
    assert (more.low, more.high) == pytest.approx((wanted.low, wanted.high))


def test_where_seeds_alone_scatter_it_is_students_t_over_seeds() -> None:
    values = np.repeat(np.array([[1.0], [2.0], [4.0], [5.5], [3.0]]), 400, axis=1)
    found = difference_over_seeds(cells(values), cells(np.zeros_like(values)), step=0.0)
    wanted = stats.ttest_1samp(values[:, 0], 0.0)
    assert (found.low, found.high) == pytest.approx(tuple(wanted.confidence_interval()))
    assert found.p == pytest.approx(wanted.pvalue, rel=1e-6) and found.scatter.seed_share == pytest.approx(1.0)


def test_with_one_seed_a_difference_is_the_paired_one_over_questions() -> None:
    rng = np.random.default_rng(3)
    before, after = rng.integers(0, 2, (1, 80)).astype(float), rng.integers(0, 2, (1, 80)).astype(float)
    found = difference_over_seeds(cells(after), cells(before), bound=1.0)
    wanted = difference(*({str(q): [x] for q, x in enumerate(side[0])} for side in (before, after)), bound=1.0)
    assert (found.mean, found.low, found.high) == pytest.approx((wanted.mean, wanted.low, wanted.high))


def test_the_p_value_belongs_to_the_interval() -> None:
    scatter = Scatter(seeds=0.002, questions=0.004, apart=0.003, freedom=(4, 59))
    edge = scatter.reach(0.975)
    assert scatter.p(edge) == pytest.approx(0.05) and scatter.p(1.01 * edge) < 0.05 < scatter.p(0.99 * edge)
    assert scatter.p(0.0) == 1.0 and scatter.p(-edge) == pytest.approx(0.05) and scatter.p(50.0) < 1e-9


def test_two_sides_that_agree_are_no_certainty_and_no_finding() -> None:
    same = cells(np.ones((5, 40)))
    found = difference_over_seeds(same, same, bound=1.0)
    assert found.low < 0 < found.high and found.p == 1.0 and found.detectable() > 0


def test_only_cells_that_both_sides_have_are_compared() -> None:
    left: Cells = {0: {"a": (1.0, 1.0), "b": (0.0, 1.0)}, 1: {"a": (1.0, 1.0)}, 7: {"a": (0.0, 1.0)}}
    right: Cells = {0: {"a": (0.0, 1.0)}, 1: {"a": (0.0, 1.0), "c": (1.0, 1.0)}, 8: {"a": (1.0, 1.0)}}
    found = difference_over_seeds(left, right)
    assert (found.mean, found.seeds, found.clusters, found.n) == (1.0, 2, 1, 4)
    with pytest.raises(UserError):
        difference_over_seeds({0: {"a": (1.0, 1.0)}}, {1: {"a": (1.0, 1.0)}})


def test_a_ratio_weighs_by_denominators_over_all_cells() -> None:
    found = share_over_seeds({0: {"a": (1.0, 4.0), "b": (0.0, 0.0)}, 1: {"a": (1.0, 1.0), "b": (0.0, 5.0)}})
    assert found.mean == pytest.approx(0.2) and found.n == 10
    with pytest.raises(UserError):
        share_over_seeds({0: {"a": (0.0, 0.0)}})


def test_nothing_wrong_in_any_seed_counts_as_one_answer_a_question() -> None:
    found = share_over_seeds(cells(np.zeros((5, 60)), 4.0))
    assert found.low == 0 and found.high == pytest.approx(1 - 0.025 ** (1 / 60))
    assert found.high == pytest.approx(share({str(q): [0.0] for q in range(60)}).high)


@pytest.mark.parametrize(("right", "n", "value"), [(3, 40, 0.2), (0, 100, 0.05), (9, 10, 0.4), (5, 5, 0.9)])
def test_a_share_is_held_against_a_number_by_the_exact_test(right: int, n: int, value: float) -> None:
    tails = stats.binom.cdf(right, n, value), stats.binom.sf(right - 1, n, value)
    assert exact_p(right / n, n, value) == pytest.approx(min(1.0, 2 * min(tails)))
    low, high = exact_interval(right / n, n)
    assert (exact_p(right / n, n, value) < 0.05) == (not low <= value <= high)


def test_an_estimate_beside_a_number_keeps_its_interval() -> None:
    alone = share_over_seeds(cells(np.random.default_rng(4).random((3, 60)) < 0.1))
    found = against_value(alone, 0.5, share=True)
    assert (found.mean, found.low, found.high) == pytest.approx((alone.mean - 0.5, alone.low - 0.5, alone.high - 0.5))
    assert found.p < 0.001 and against_value(alone, alone.mean, share=True).p > 0.5
    counts = amount_over_seeds(cells(np.random.default_rng(5).poisson(2, (3, 60)).astype(float)))
    assert against_value(counts, counts.mean, share=False).p == pytest.approx(1.0)


def answers(rng: np.random.Generator, level: float, hard: np.ndarray, seeds: int, by_seed: float, k: int) -> np.ndarray:
    """Right answers of k, shape (seeds, questions), by probit random effects of seed, question and both."""
    noise = by_seed * rng.normal(size=(seeds, 1)) + 0.3 * rng.normal(size=(seeds, len(hard)))
    found: np.ndarray = rng.binomial(k, ndtr(level + noise - hard)).astype(float)
    return found


def expected(level: float, by_seed: float, spread: float) -> float:
    return float(ndtr(level / np.sqrt(1 + by_seed**2 + 0.3**2 + spread**2)))


@pytest.mark.parametrize(
    ("seeds", "by_seed", "k", "level"), [(5, 0.0, 1, -0.3), (5, 0.3, 4, -0.3), (5, 0.2, 2, 2.5), (3, 0.3, 4, 0.0)]
)
def test_the_interval_of_a_share_holds_the_truth(seeds: int, by_seed: float, k: int, level: float) -> None:
    rng, trials, held = np.random.default_rng(6), 400, 0
    truth = expected(level, by_seed, 1.0)
    for _ in range(trials):
        found = share_over_seeds(cells(answers(rng, level, rng.normal(size=60), seeds, by_seed, k) / k, k))
        held += found.low <= truth <= found.high
    assert held / trials >= 0.93 - 2 * 0.0128


@pytest.mark.parametrize(("seeds", "by_seed", "k"), [(5, 0.0, 1), (5, 0.3, 4), (3, 0.3, 4)])
def test_a_paired_difference_holds_the_truth_and_finds_nothing_where_there_is_none(
    seeds: int, by_seed: float, k: int
) -> None:
    rng, trials, held, found_some = np.random.default_rng(7), 400, 0, 0
    for _ in range(trials):
        hard = rng.normal(size=60)
        one, two = (answers(rng, -0.2, hard + 0.3 * rng.normal(size=60), seeds, by_seed, k) for _ in range(2))
        found = difference_over_seeds(cells(one / k, k), cells(two / k, k), bound=1.0)
        held += found.low <= 0 <= found.high
        found_some += found.p < 0.05
    assert held / trials >= 0.93 - 2 * 0.0128 and held + found_some == trials


def test_the_detectable_difference_is_found_four_times_in_five() -> None:
    rng, trials, hits = np.random.default_rng(8), 300, 0
    gaps = []
    for _ in range(60):
        one, two = (rng.normal(0, 1, (5, 60)) + 0.2 * rng.normal(size=(5, 1)) for _ in range(2))
        gaps.append(difference_over_seeds(cells(one), cells(two)).detectable())
    for _ in range(trials):
        one, two = (rng.normal(m, 1, (5, 60)) + 0.2 * rng.normal(size=(5, 1)) for m in (np.mean(gaps), 0.0))
        hits += difference_over_seeds(cells(one), cells(two)).p < 0.05
    assert 0.7 < hits / trials < 0.92
