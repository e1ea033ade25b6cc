"""Statistics of evaluations: against scipy's own, against closed forms, and against brute force."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from benchmarks.statistics.coverage import cases, covered
from mentor.analysis.intervals import Estimate
from mentor.analysis.macro import macro_average
from mentor.analysis.means import amount, difference, quantile
from mentor.analysis.shares import exact_interval, share, share_ratio
from mentor.analysis.significance import holm, mcnemar, minimum_detectable, paired_test, sign_flip_p
from mentor.analysis.votes import classes, majority_at_k
from mentor.errors import UserError

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(("right", "n"), [(0, 10), (3, 10), (10, 10), (1, 200), (57, 100)])
def test_the_interval_of_independent_answers_is_clopper_and_pearsons(right: int, n: int) -> None:
    wanted = stats.binomtest(right, n).proportion_ci(0.95, method="exact")
    assert exact_interval(right / n, n) == pytest.approx((wanted.low, wanted.high), abs=1e-9)


def test_nothing_right_of_ten_is_no_certainty() -> None:
    found = share({str(n): [0.0] for n in range(10)})
    assert (found.mean, found.low) == (0, 0) and found.high == pytest.approx(1 - 0.025 ** (1 / 10))
    several = share({str(n): [1.0] * 4 for n in range(10)})
    assert several.low == pytest.approx(0.025 ** (1 / 10)) and several.n == 40 and several.clusters == 10


def test_samples_that_agree_within_a_question_count_as_one() -> None:
    rows = [float(n % 3 == 0) for n in range(60)]
    alone, repeated = (
        share({str(n): [x] for n, x in enumerate(rows)}),
        share({str(n): [x] * 4 for n, x in enumerate(rows)}),
    )
    assert (repeated.low, repeated.high) == pytest.approx((alone.low, alone.high), abs=0.01)
    spread = share({str(n): [1.0, 0.0, 0.0, 1.0] for n in range(30)} | {"x": [1.0, 0.0, 0.0, 0.0]})
    assert spread.high - spread.low < 0.2


def test_a_ratio_weighs_questions_by_their_denominators() -> None:
    found = share_ratio({"a": (1.0, 4.0), "b": (0.0, 1.0), "c": (0.0, 0.0)})
    assert found.mean == pytest.approx(0.2) and found.clusters == 2 and found.n == 5


def test_a_paired_difference_is_students_t_once_there_is_scatter() -> None:
    before, after = ({str(n): [x] for n, x in enumerate(RNG.normal(m, 1, 400))} for m in (0.0, 0.3))
    found = difference(before, after)
    wanted = stats.ttest_rel([v[0] for v in after.values()], [v[0] for v in before.values()]).confidence_interval()
    assert (found.low, found.high) == pytest.approx((wanted.low, wanted.high), rel=0.02)
    same = difference(before, before, bound=1.0)
    assert same.low < 0 < same.high


def test_an_amount_is_students_t_below_and_wider_above() -> None:
    rows = RNG.poisson(2, 300).astype(float)
    found = amount({str(n): [x] for n, x in enumerate(rows)})
    low, high = stats.t.interval(0.95, 299, rows.mean(), stats.sem(rows))
    assert found.low == pytest.approx(low, rel=0.01) and high <= found.high < 1.05 * high
    assert amount({str(n): [0.0] for n in range(30)}).high > 0


def test_quantiles_have_bounds_only_where_order_statistics_can_give_them() -> None:
    few = quantile({str(n): [float(n)] for n in range(30)}, 0.95)
    assert few.high is None and few.low is not None
    many = quantile({str(n): [float(n)] for n in range(1000)}, 0.5)
    wanted = stats.quantile_test(np.arange(1000.0), q=499.5, p=0.5).confidence_interval(0.95)
    assert many.low == pytest.approx(wanted.low, abs=2) and many.high == pytest.approx(wanted.high, abs=2)


@pytest.mark.parametrize(("better", "worse"), [(0, 0), (1, 0), (3, 9), (10, 2), (40, 20), (25, 25)])
def test_mcnemar_equals_the_binomial_and_the_chi_square_test(better: int, worse: int) -> None:
    p, method = mcnemar(better, worse)
    total = better + worse
    if total < 25:
        assert method == "exact binomial"
        assert p == pytest.approx(stats.binomtest(better, total).pvalue if total else 1.0)
    else:
        assert p == pytest.approx(stats.chi2.sf(max(0, abs(better - worse) - 1) ** 2 / total, 1))


def test_sign_flips_equal_scipys_permutation_test() -> None:
    deltas = np.array([0.25, 0.5, -0.25, 0.75, 0.25, 0.5, 0.25])
    wanted = stats.permutation_test((deltas,), lambda x: x.sum(), permutation_type="samples", n_resamples=np.inf)
    assert sign_flip_p(deltas, 0) == pytest.approx(wanted.pvalue)
    many = np.tile(deltas, 8)
    assert sign_flip_p(many, 0) < 0.001 and sign_flip_p(np.array([0.5, -0.5] * 20), 0) == 1.0


def test_the_test_that_is_taken_depends_on_the_samples() -> None:
    one = {str(n): [float(n < 5)] for n in range(20)}
    assert paired_test(one, {k: [1.0] for k in one}).method == "exact binomial"
    several = {k: [v[0], 0.0] for k, v in one.items()}
    found = paired_test(several, {k: [1.0, 1.0] for k in one})
    assert found.method == "sign flips" and (found.better, found.worse) == (20, 0)


def test_holm_steps_down() -> None:
    assert holm({"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005}) == pytest.approx(
        {"a": 0.03, "b": 0.06, "c": 0.06, "d": 0.02}
    )
    assert holm({}) == {}


def test_the_detectable_difference_is_found_four_times_in_five() -> None:
    n, p = 200, 0.3
    before = {str(i): [float(x)] for i, x in enumerate(RNG.random(n) < p)}
    gap = minimum_detectable(before, {k: [float(x)] for k, x in zip(before, RNG.random(n) < p, strict=True)})
    found = 0
    for _ in range(300):
        a, b = RNG.random(n) < p, RNG.random(n) < p + gap
        found += stats.ttest_rel(b.astype(float), a.astype(float)).pvalue < 0.05
    assert 0.7 < found / 300 < 0.9


def test_a_macro_average_is_as_wide_as_resampling_within_suites() -> None:
    suites = [
        {str(i): [float(x)] for i, x in enumerate(RNG.random(n) < p)} for n, p in ((80, 0.4), (200, 0.6), (50, 0.5))
    ]
    found = macro_average([share(suite) for suite in suites])
    rows = [np.array([v[0] for v in suite.values()]) for suite in suites]
    drawn = [np.mean([RNG.choice(row, len(row)).mean() for row in rows]) for _ in range(3000)]
    low, high = np.percentile(drawn, [2.5, 97.5])
    assert (found.high - found.low) == pytest.approx(high - low, rel=0.2)
    nothing = macro_average([Estimate(mean=0, low=0, high=0.1, n=30, clusters=30)] * 4)
    assert nothing.low == 0 and nothing.high == pytest.approx(0.05)
    with pytest.raises(UserError):
        macro_average([])


def brute(votes: list[int | None], right: list[float], k: int) -> float:
    worth = []
    for choice in combinations(range(len(votes)), k):
        said = [votes[i] for i in choice if votes[i] is not None]
        most = max((said.count(v) for v in said), default=0)
        top = {v for v in said if said.count(v) == most}
        worth.append(np.mean([right[votes.index(v)] for v in top]) if top else 0.0)
    return float(np.mean(worth))


@pytest.mark.parametrize("k", [1, 2, 3, 5])
def test_majorities_equal_brute_force_and_split_ties(k: int) -> None:
    votes: list[int | None] = [0, 0, 2, 2, 4, None]
    right = [1.0, 1.0, 0.0, 0.0, 0.0, 0.0]
    assert majority_at_k(votes, right, k) == pytest.approx(brute(votes, right, k))
    assert majority_at_k([0, 1], [1.0, 0.0], 2) == 0.5
    assert majority_at_k([None, None], [0.0, 0.0], 2) == 0.0
    with pytest.raises(UserError):
        majority_at_k([0], [1.0], 2)


def test_answers_are_grouped_by_equivalence_and_silence_does_not_vote() -> None:
    asked = []

    def same(a: int, b: int) -> bool:
        asked.append((a, b))
        return {a, b} == {0, 2}

    assert classes(["1/2", "3", "0.5", "3", None, " "], same) == [0, 1, 0, 1, None, None]
    assert asked == [(1, 0), (2, 0)]


@pytest.mark.parametrize("kind", ["accuracy", "paired", "macro", "invalid", "pass@2"])
def test_intervals_hold_the_truth_in_some_of_the_simulated_worlds(kind: str) -> None:
    chosen = [case for case in cases() if kind in case.kind and case.questions == 30][:2]
    for case in chosen:
        assert covered(case, 150, 1).coverage > 0.88, case
