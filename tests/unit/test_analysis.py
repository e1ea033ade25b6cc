"""Statistics: against closed forms, and against simulation where there are none."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from mentor.analysis import cluster_bootstrap, paired_difference, pass_at_k, tool_counts, tool_usage
from mentor.errors import UserError
from mentor.trajectory import Observation, Termination, ToolCall, Trajectory, Turn


def test_pass_at_k_equals_counting_all_choices() -> None:
    for n, c, k in ((5, 2, 3), (6, 1, 2), (4, 4, 1), (4, 0, 4), (10, 3, 8)):
        draws = list(combinations([True] * c + [False] * (n - c), k))
        assert pass_at_k(n, c, k) == pytest.approx(sum(any(d) for d in draws) / len(draws))


@pytest.mark.parametrize(
    ("n", "c", "k", "field"), [(0, 0, 1, "n"), (4, 5, 1, "c"), (4, 1, 0, "k"), (4, 1, 5, "k"), (4, -1, 1, "c")]
)
def test_pass_at_k_refuses_the_impossible(n: int, c: int, k: int, field: str) -> None:
    with pytest.raises(UserError) as caught:
        pass_at_k(n, c, k)
    assert caught.value.field == field


def test_the_bootstrap_covers_the_truth_about_95_times_in_100() -> None:
    rng = np.random.default_rng(0)
    covered = 0
    for seed in range(200):
        rates = rng.beta(2, 2, size=60)
        values = {str(i): list(rng.binomial(1, rate, size=4).astype(float)) for i, rate in enumerate(rates)}
        estimate = cluster_bootstrap(values, seed=seed, draws=500)
        covered += estimate.low <= 0.5 <= estimate.high
    assert 0.88 <= covered / 200 <= 0.99


def test_clusters_widen_the_interval() -> None:
    answers = [1.0, 0.0] * 50
    whole = {str(i): [a] * 4 for i, a in enumerate(answers)}
    alone = {f"{i}-{j}": [a] for i, a in enumerate(answers) for j in range(4)}
    wide, narrow = cluster_bootstrap(whole), cluster_bootstrap(alone)
    assert wide.n == narrow.n == 400
    assert wide.high - wide.low > 1.5 * (narrow.high - narrow.low)


def test_paired_differences_use_each_question_as_its_own_control() -> None:
    before = {str(i): [float(i % 2)] for i in range(40)}
    after = {k: [min(1.0, v[0] + 1)] for k, v in before.items()} | {"new": [0.0]}
    estimate = paired_difference(before, after)
    assert estimate.mean == pytest.approx(0.5) and estimate.clusters == 40
    same = paired_difference(before, before)
    assert (same.mean, same.low, same.high) == (0, 0, 0)


def test_averages_of_nothing_are_refused() -> None:
    with pytest.raises(UserError):
        cluster_bootstrap({"a": []})
    with pytest.raises(UserError):
        paired_difference({"a": [1.0]}, {"b": [1.0]})


def test_usage_counts_the_models_faults_and_leaves_ours_out() -> None:
    good = Observation(name="add", content="5")
    failing = Observation(name="add", content="Error", ok=False, error_type="tool_error")
    unknown = Observation(name="calc", content="Error", ok=False, executed=False, error_type="unknown_tool")

    def with_calls(*seen: Observation, **changes: object) -> Trajectory:
        turns = tuple(Turn(text="", tool_calls=(ToolCall(name=o.name),), observations=(o,)) for o in seen)
        return Trajectory(turns=turns).model_copy(update=changes)

    lost = with_calls(good, good, termination=Termination.INFRASTRUCTURE)
    trajectories = [with_calls(good, failing), with_calls(unknown), with_calls(), lost]
    usage = tool_usage(trajectories)
    assert (usage.trajectories, usage.infrastructure_failures, usage.calls) == (3, 1, 3)
    assert usage.usage_rate == pytest.approx(1 / 3)
    assert usage.invalid_rate == pytest.approx(2 / 3)
    assert usage.calls_per_question == 1
    assert usage.errors == {"tool_error": 1, "unknown_tool": 1}
    assert tool_counts(trajectories) == {"add": 2}
