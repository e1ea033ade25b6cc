"""Two models, question by question."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence

from mentor.analysis import paired_difference
from mentor.analysis.clusters import Values
from mentor.analysis.intervals import Estimate
from mentor.analysis.macro import macro_average
from mentor.analysis.means import difference
from mentor.analysis.shares import share
from mentor.analysis.significance import holm, minimum_detectable, paired_test
from mentor.analysis.tokens import generated_tokens
from mentor.errors import UserError
from mentor.grading.response import final_answer
from mentor.trajectory import Trajectory
from mentor_evaluator.comparing.models import (
    LEVEL,
    Changed,
    Comparison,
    MacroComparison,
    Setting,
    SuiteComparison,
    UsageDifference,
)
from mentor_evaluator.comparing.settings import check, differences
from mentor_evaluator.comparing.sides import Asked, Side, asked, side_of
from mentor_evaluator.measures.accuracy import is_right
from mentor_evaluator.measures.models import FEW_QUESTIONS
from mentor_evaluator.measures.spending import per_sample
from mentor_evaluator.runs import Run

Samples = Mapping[str, Sequence[Trajectory]]


def compare_runs(
    a: Run,
    b: Run,
    *,
    model_a: str | None = None,
    model_b: str | None = None,
    even_if: Sequence[str] = (),
    seed: int = 0,
) -> Comparison:
    """Compare two models, of two runs or of one, on every suite and arm that both have; differences are b - a.

    Args:
        model_a: needed where the run has several.
        even_if: parts of the manifests that may differ (``settings.MATTERS``).
        seed: of the bootstrap and of random sign flips.

    Raises:
        UserError: a model is unknown, nothing is shared, or the runs differ in what matters: it names each difference.
    """
    one, two = side_of(a, model_a, "a"), side_of(b, model_b, "b")
    shared = [key for key in one.cells if key in two.cells]
    if not shared:
        raise UserError("the two share no suite in the same arm", field="b", allowed=f"one of {_keys(one)}")
    settings = differences(one, two, dict.fromkeys(suite for suite, _ in shared))
    check(settings, even_if)
    return _comparison(one, two, [_suite(one, two, key, seed) for key in shared], settings)


def _keys(side: Side) -> str:
    return ", ".join("/".join(key) for key in side.cells)


def _comparison(one: Side, two: Side, found: list[SuiteComparison], settings: list[Setting]) -> Comparison:
    adjusted = holm({f"{s.suite}/{s.arm}": s.p for s in found})
    suites = [
        s.model_copy(update={"p_holm": (p := adjusted[f"{s.suite}/{s.arm}"]), "significant": p < LEVEL}) for s in found
    ]
    few = [s for s in suites if s.questions < FEW_QUESTIONS]
    return Comparison(
        a=one.label, b=two.label, suites=suites, macro=_macros(suites), settings=settings,
        warnings=[f"{s.suite}/{s.arm}: {s.questions} shared questions find only differences of {100 * s.detectable:.0f} "
                  "points or more, 4 times in 5" for s in few],
    )  # fmt: skip


def _macros(suites: Sequence[SuiteComparison]) -> list[MacroComparison]:
    by_arm: dict[str, list[SuiteComparison]] = defaultdict(list)
    for suite in suites:
        by_arm[suite.arm].append(suite)
    return [
        MacroComparison(
            arm=arm, suites=[s.suite for s in found], difference=macro_average([s.difference for s in found])
        )
        for arm, found in by_arm.items()
        if len(found) > 1
    ]


def _suite(one: Side, two: Side, key: tuple[str, str], seed: int) -> SuiteComparison:
    left, right = asked(one.cells[key]), asked(two.cells[key])
    names = [name for name in left.samples if name in right.samples and _same_question(left, right, name)]
    if not names:
        raise UserError(
            f"{'/'.join(key)}: no question was asked of both", field="b", allowed="runs on the same questions"
        )
    a, b = ({name: side.samples[name] for name in names} for side in (left, right))
    right_a, right_b = per_sample(a, is_right), per_sample(b, is_right)
    tested = paired_test(right_a, right_b, seed=seed)
    return SuiteComparison(
        suite=key[0], arm=key[1], questions=len(names), a=share(right_a), b=share(right_b),
        difference=difference(right_a, right_b, bound=1.0), bootstrap=_bootstrap(right_a, right_b, seed),
        better=tested.better, worse=tested.worse, p=tested.p, p_holm=tested.p, method=tested.method, significant=False,
        detectable=minimum_detectable(right_a, right_b), usage=_usage(a, b), changed=_changed(left, a, b),
    )  # fmt: skip


def _bootstrap(a: Values, b: Values, seed: int) -> Estimate | None:
    """None where nothing scatters: resampling then knows no error at all, which is not certainty."""
    found = paired_difference(a, b, seed=seed)
    return found if found.low < found.high else None


def _same_question(left: Asked, right: Asked, name: str) -> bool:
    return left.questions[name].question == right.questions[name].question


def _usage(a: Samples, b: Samples) -> UsageDifference:
    def between(measure: Callable[[Trajectory], float], step: float = 1.0) -> Estimate:
        return difference(per_sample(a, measure), per_sample(b, measure), step=step)

    return UsageDifference(
        calls=between(lambda t: float(len(t.observations))),
        invalid_calls=between(lambda t: float(sum(not o.ok for o in t.observations))),
        turns=between(lambda t: float(len(t.turns))),
        generated_tokens=between(generated_tokens),
        seconds=between(lambda t: t.duration_s, 0.0),
    )


def _changed(asked_of: Asked, a: Samples, b: Samples) -> list[Changed]:
    found = []
    for name in a:
        shares = [sum(map(is_right, side[name])) / len(side[name]) for side in (a, b)]
        if shares[0] != shares[1]:
            question = asked_of.questions[name]
            found.append(
                Changed(
                    id=name,
                    question=question.question,
                    accepted=list(question.answers),
                    a=shares[0],
                    b=shares[1],
                    answers_a=[final_answer(t) for t in a[name]],
                    answers_b=[final_answer(t) for t in b[name]],
                )
            )
    return found
