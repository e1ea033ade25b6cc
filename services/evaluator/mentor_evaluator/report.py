"""From trajectories to a report: every rate with its interval, infrastructure failures counted apart."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from mentor.analysis import (
    CallsByQuestion,
    alignment,
    calls_by_question,
    cluster_bootstrap,
    pass_at_k,
    tool_counts,
    tool_usage,
)
from mentor.errors import UserError
from mentor.grading import grade_qa
from mentor.rollout.solve import CORRECT
from mentor.trajectory import Question, Trajectory


def build_report(
    questions: Sequence[Question],
    trajectories: Sequence[Trajectory],
    reference_calls: CallsByQuestion | None,
    *,
    samples: int,
    judge: str,
    seed: int = 0,
) -> dict[str, Any]:
    """The report as JSON.

    ``accuracy``: mean and 95% interval, bootstrap over questions. ``tool_effect``: accuracy of trajectories that called
    a tool and of those that did not. ``pass_at_k``: unbiased, over questions all of whose samples survived.

    Raises:
        UserError: every trajectory was lost to infrastructure.
    """
    kept = [t for t in trajectories if not t.failed]
    if not kept:
        raise UserError("no trajectory survived: there is nothing to report", field="backends")
    values = correctness(kept)
    usage = tool_usage(trajectories)
    student = tool_counts(kept)
    report: dict[str, Any] = {
        "questions": len(questions),
        "samples": samples,
        "trajectories": len(kept),
        "infrastructure_failures": usage.infrastructure_failures,
        "mode": sorted({t.mode for t in kept}),
        "accuracy": cluster_bootstrap(values, seed=seed).model_dump(),
        "pass_at_k": _pass_at_k(values, samples),
        "usage": usage.model_dump(),
        "tool_counts": dict(student),
        "alignment": None,
        "categories": _by_category(questions, values, seed),
        "tool_effect": _tool_effect(kept, seed),
    }
    calls = calls_by_question(kept)
    if reference_calls is not None:
        if reference_calls.keys() & calls.keys():  # else every question with a reference was lost to infrastructure
            report["alignment"] = alignment(reference_calls, calls, seed=seed).model_dump()
        report["reference_tool_counts"] = _totals(reference_calls)
    if judge.startswith("qa"):
        report["qa"] = _qa(questions, kept)
    return report


def _totals(calls: CallsByQuestion) -> dict[str, int]:
    total: Counter[str] = Counter()
    for trajectories in calls.values():
        for counts in trajectories:
            total.update(counts)
    return dict(total)


def correctness(trajectories: Sequence[Trajectory]) -> dict[str, list[float]]:
    """1 or 0 per surviving sample, by question id."""
    values: dict[str, list[float]] = defaultdict(list)
    for trajectory in trajectories:
        if not trajectory.failed:
            values[trajectory.question_id].append(float(bool(trajectory.metadata.get(CORRECT))))
    return dict(values)


def _pass_at_k(values: Mapping[str, Sequence[float]], samples: int) -> dict[str, float]:
    whole = [v for v in values.values() if len(v) == samples]
    ks = [k for k in (1, 2, 4, 8, 16, 32, 64, 128, 256) if k <= samples] if whole else []
    return {str(k): sum(pass_at_k(samples, int(sum(v)), k) for v in whole) / len(whole) for k in ks}


def _by_category(questions: Sequence[Question], values: Mapping[str, list[float]], seed: int) -> dict[str, Any]:
    groups: dict[str, dict[str, list[float]]] = defaultdict(dict)
    for question in questions:
        if question.id in values:
            groups[question.category or question.metadata.get("kind") or question.data_source][question.id] = values[
                question.id
            ]
    return {name: cluster_bootstrap(groups[name], seed=seed).model_dump() for name in sorted(groups)}


def _tool_effect(trajectories: Sequence[Trajectory], seed: int) -> dict[str, Any]:
    split: dict[str, list[Trajectory]] = {"with_tools": [], "without_tools": []}
    for trajectory in trajectories:
        split["with_tools" if trajectory.attempted_names else "without_tools"].append(trajectory)
    return {
        name: cluster_bootstrap(correctness(part), seed=seed).model_dump() if part else None
        for name, part in split.items()
    }


def _qa(questions: Sequence[Question], trajectories: Sequence[Trajectory]) -> dict[str, float]:
    golds = {q.id: q.answers for q in questions}
    totals: Counter[str] = Counter()
    for trajectory in trajectories:
        totals.update(grade_qa(trajectory.answer, golds[trajectory.question_id]).model_dump())
    return {name: total / len(trajectories) for name, total in totals.items()}
