"""The alignment score: its definition, its edges, and by simulation that its interval and its noise floor hold."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from scipy.stats import t

from mentor.analysis import AlignmentScore, alignment, alignment_of_totals
from mentor.analysis.alignment import student_t
from mentor.errors import UserError
from mentor.trajectory import Question, Termination, Trajectory
from mentor_evaluator.report import build_report

TYPES = 4


def test_equal_distributions_score_one_and_disjoint_ones_zero() -> None:
    assert alignment_of_totals({"a": 2, "b": 4}, {"a": 10, "b": 20}).alignment_score == pytest.approx(1)
    assert alignment_of_totals({"a": 3}, {"b": 5}).alignment_score == pytest.approx(0)


def test_the_score_is_one_minus_the_root_of_the_base_2_divergence() -> None:
    p, q = np.array([0.5, 0.5]), np.array([0.9, 0.1])
    m = (p + q) / 2
    divergence = 0.5 * (p * np.log2(p / m)).sum() + 0.5 * (q * np.log2(q / m)).sum()
    by_question = alignment({"1": [{"a": 5}], "2": [{"b": 5}]}, {"1": [{"a": 4}, {"a": 5}], "2": [{}, {"b": 1}]})
    for scored in (alignment_of_totals({"a": 5, "b": 5}, {"a": 9, "b": 1}), by_question):
        assert scored.alignment_score == pytest.approx(1 - math.sqrt(divergence))


def test_only_questions_on_both_sides_count() -> None:
    scored = alignment({"1": [{"a": 1}], "2": [{"b": 9}]}, {"1": [{"a": 2}], "3": [{"c": 9}]})
    assert (scored.questions, scored.teacher_calls, scored.student_calls) == (1, 1, 2)
    assert scored.alignment_score == 1
    with pytest.raises(UserError, match="share no question"):
        alignment({"1": [{"a": 1}]}, {"2": [{"a": 1}]})


def test_a_report_is_made_though_every_question_with_a_reference_was_lost() -> None:
    asked = [Question(id=name, question="?", answers=("1",)) for name in ("kept", "lost")]
    lost = Trajectory(question_id="lost", termination=Termination.INFRASTRUCTURE)
    report = build_report(asked, [Trajectory(question_id="kept"), lost], {"lost": [{"a": 1}]}, samples=1, judge="math")
    assert report.alignment is None and report.reference_tool_counts == {"a": 1}


def test_what_an_identical_policy_would_score_is_said() -> None:
    """Ten calls that differ by one are noise; ten thousand that differ by a thousand are not."""
    small = alignment_of_totals({"a": 5, "b": 5}, {"a": 6, "b": 4})
    large = alignment_of_totals({"a": 5000, "b": 5000}, {"a": 6000, "b": 4000})
    assert small.noise_floor_low < small.noise_floor < large.noise_floor_low < large.noise_floor < 1
    assert small.p_identical > 0.3 and large.p_identical < 0.01
    assert small.interval[1] == 1 and large.interval[1] < 0.95
    assert large.interval[0] < large.alignment_score < large.interval[1]


def test_no_calls() -> None:
    nothing = alignment_of_totals({}, {})
    assert (nothing.alignment_score, nothing.interval, nothing.p_identical) == (1, (1, 1), 1)
    assert alignment_of_totals({"a": 1}, {}).alignment_score == 0
    assert alignment({"1": [{}]}, {"1": [{}]}).alignment_score == 1
    assert alignment({"1": [{"a": 1}], "2": [{}]}, {"1": [{}], "2": [{}]}).alignment_score == 0


@pytest.mark.parametrize("bad", [{"a": -1}, {"a": 1.5}, {"a": True}])
def test_bad_counts_name_the_field(bad: dict[str, int]) -> None:
    for score in (lambda: alignment_of_totals({"a": 1}, bad), lambda: alignment({"1": [{"a": 1}]}, {"1": [bad]})):
        with pytest.raises(UserError) as caught:
            score()
        assert caught.value.field == "student_counts"


def test_students_t() -> None:
    for freedom in (3, 5, 11, 100):
        assert student_t(freedom) == pytest.approx(t.ppf(0.975, freedom), rel=0.01)


class World:
    """Questions of four types, each with tool preferences of its own; ``apart`` of the student's are others."""

    def __init__(self, apart: float, tools: int, rng: np.random.Generator) -> None:
        self.rng = rng
        self.teacher = rng.dirichlet(np.full(tools, 0.7), size=TYPES)
        self.student = (1 - apart) * self.teacher + apart * rng.dirichlet(np.full(tools, 0.5), size=TYPES)
        p, q = self.teacher.mean(axis=0), self.student.mean(axis=0)
        m = (p + q) / 2
        with np.errstate(divide="ignore", invalid="ignore"):
            parts = [np.where(x > 0, x * np.log2(x / m), 0).sum() for x in (p, q)]
        self.truth = 1 - math.sqrt(max(0.0, sum(parts) / 2))

    def scored(self, calls: int, samples: int, seed: int) -> AlignmentScore:
        """About ``calls`` calls of the student, ``samples`` trajectories a question; the teacher has one."""
        types = self.rng.integers(0, TYPES, size=max(4, calls // (2 * samples)))
        teacher = {str(n): [self._trajectory(self.teacher[k])] for n, k in enumerate(types)}
        student = {str(n): [self._trajectory(self.student[k]) for _ in range(samples)] for n, k in enumerate(types)}
        return alignment(teacher, student, seed=seed, draws=400)

    def _trajectory(self, preference: np.ndarray) -> Counter[str]:
        drawn = self.rng.multinomial(1 + self.rng.poisson(1), preference)
        return Counter({str(tool): int(n) for tool, n in enumerate(drawn) if n})


@pytest.mark.parametrize(("calls", "runs"), [(100, 80), (600, 60), (6000, 16)])
@pytest.mark.parametrize("apart", [0.0, 0.1, 0.4, 1.0])
def test_the_interval_covers_the_policies_own_score(apart: float, calls: int, runs: int) -> None:
    """At least 90 times in 100, for equal and unequal policies; half of the runs with four samples a question."""
    rng = np.random.default_rng(7)
    covered = 0
    for run in range(runs):
        world = World(apart, tools=(4, 12)[run % 2], rng=rng)
        low, high = world.scored(calls, (1, 4)[run // 2 % 2], run).interval
        covered += low <= world.truth <= high
    assert covered >= 0.9 * runs


def test_identical_policies_look_identical_as_often_as_is_said() -> None:
    """``p_identical`` is uniform under equality, and below 0.05 no more than about one time in twenty."""
    rng = np.random.default_rng(3)
    found = [World(0.0, 6, rng).scored(300, (1, 4)[run % 2], run) for run in range(120)]
    assert sum(score.p_identical < 0.05 for score in found) <= 12
    assert 0.35 < np.mean([score.p_identical for score in found]) < 0.65
    assert np.mean([s.alignment_score < s.noise_floor_low for s in found]) < 0.12


def test_the_same_answer_four_times_is_not_four_times_the_evidence() -> None:
    rng = np.random.default_rng(5)
    world = World(0.4, 6, rng)
    types = rng.integers(0, TYPES, size=80)
    teacher = {str(n): [world._trajectory(world.teacher[k])] for n, k in enumerate(types)}
    student = {str(n): [world._trajectory(world.student[k])] for n, k in enumerate(types)}
    one = alignment(teacher, student)
    four = alignment(teacher, {name: drawn * 4 for name, drawn in student.items()})
    width = [score.interval[1] - score.interval[0] for score in (one, four)]
    assert width[1] == pytest.approx(width[0], rel=0.15)
