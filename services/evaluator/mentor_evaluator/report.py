"""From trajectories to the report of a cell: every rate with its interval, infrastructure failures counted apart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from mentor.analysis import AlignmentScore, CallsByQuestion, alignment, calls_by_question, tool_counts, tool_usage
from mentor.analysis.intervals import Estimate
from mentor.analysis.means import skewness
from mentor.analysis.shares import share
from mentor.analysis.tokens import generated_tokens
from mentor.errors import UserError
from mentor.rollout.budget import Prices
from mentor.trajectory import Question, Trajectory
from mentor_evaluator.measures import accuracy, spending
from mentor_evaluator.measures.models import FEW_QUESTIONS, CellReport

_TAIL = 10
"""Questions per squared skewness below which the mean of a long-tailed amount may be missed too often."""

_FREE = Prices()


def build_report(
    questions: Sequence[Question],
    trajectories: Sequence[Trajectory],
    reference_calls: CallsByQuestion | None,
    *,
    samples: int,
    judge: str,
    seed: int = 0,
    prices: Prices = _FREE,
) -> CellReport:
    """The figures of one model on one question set.

    Args:
        judge: the scorer that also says which answers are equivalent, for maj@k.
        prices: of a million prompt tokens and of a million generated ones.

    Raises:
        UserError: every trajectory was lost to infrastructure.
    """
    kept = [t for t in trajectories if not t.failed]
    if not kept:
        raise UserError("no trajectory survived: there is nothing to report", field="backends")
    grouped = accuracy.by_question(kept)
    values = accuracy.correctness(kept)
    full = accuracy.whole(values, samples)
    usage = tool_usage(trajectories)
    return CellReport(
        questions=len(questions),
        samples=samples,
        trajectories=len(kept),
        infrastructure_failures=usage.infrastructure_failures,
        mode=sorted({t.mode for t in kept}),
        accuracy=share(values),
        avg_at_k={str(samples): share(full)} if full else {},
        pass_at_k=accuracy.pass_at_ks(values, samples),
        maj_at_k=accuracy.majority_at_ks({q.id: q for q in questions}, grouped, samples, judge),
        usage=usage,
        rates=spending.rates(grouped),
        tokens=spending.tokens(grouped),
        cost=spending.cost(grouped, prices),
        latency=spending.latency(grouped),
        endings=spending.endings(trajectories),
        tool_counts=dict(tool_counts(kept)),
        categories=accuracy.by_category(questions, values),
        tool_effect=_by_use(kept),
        measures=accuracy.measures(grouped),
        warnings=_warnings(grouped),
        **_beside_teacher(reference_calls, calls_by_question(kept), seed),
    )


def _beside_teacher(teacher: CallsByQuestion | None, student: CallsByQuestion, seed: int) -> dict[str, Any]:
    """What is known beside a teacher's calls; no score where every question with a reference was lost."""
    if teacher is None:
        return {}
    shared = teacher.keys() & student.keys()
    score: AlignmentScore | None = alignment(teacher, student, seed=seed) if shared else None
    totals = sum((Counter(counts) for rows in teacher.values() for counts in rows), Counter[str]())
    return {
        "alignment": score,
        "reference_tool_counts": dict(totals),
        "tool_differences": spending.tool_differences(teacher, student) if shared else {},
    }


def _by_use(trajectories: Sequence[Trajectory]) -> dict[str, Estimate | None]:
    parts = {
        "with_tools": [t for t in trajectories if t.attempted_names],
        "without_tools": [t for t in trajectories if not t.attempted_names],
    }
    return {name: share(accuracy.correctness(part)) if part else None for name, part in parts.items()}


def _warnings(grouped: accuracy.Grouped) -> list[str]:
    found = []
    if len(grouped) < FEW_QUESTIONS:
        found.append(
            f"{len(grouped)} questions: the coverage of intervals is proven from {FEW_QUESTIONS} on, and differences between "
            "models must be large to be seen"
        )
    amounts = {"tokens": generated_tokens, "calls": lambda t: float(len(t.observations))}
    for name, measure in amounts.items():
        per_question = [sum(v) / len(v) for v in spending.per_sample(grouped, measure).values()]
        if len(grouped) < _TAIL * skewness(per_question) ** 2:
            found.append(
                f"{name} have a long tail for {len(grouped)} questions: their intervals may be too narrow above"
            )
    return found
