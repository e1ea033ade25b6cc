"""From a finished chain to the numbers that matter: per model, before and after, with intervals."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mentor.analysis import (
    CallsByQuestion,
    alignment,
    calls_by_question,
    cluster_bootstrap,
    paired_difference,
    tool_usage,
)
from mentor.data import iter_trajectories
from mentor.jobs.client import JobClient
from mentor.local.distill import GROUP, SPLIT, Outcome
from mentor.trajectory import Question, Trajectory

Values = dict[str, list[float]]
GROUPS = ("in_domain", "out_of_domain")


class Evaluations:
    """Trajectories of every evaluated model, sampled and greedy, fetched from the evaluator."""

    def __init__(self, outcome: Outcome, client: JobClient, folder: Path) -> None:
        self.questions: dict[str, Question] = {q.id: q for q in outcome.evaluation}
        self.sampled: dict[str, list[Trajectory]] = {}
        self.greedy: dict[str, list[Trajectory]] = {}
        for label, stage in outcome.stages.items():
            if not label.startswith("evaluate "):
                continue
            name = label.removeprefix("evaluate ")
            path = folder / "trajectories" / f"{name.replace(' ', '-')}.jsonl"
            client.fetch(stage.job.id, "trajectories.jsonl", path)
            target = self.greedy if name.endswith(" greedy") else self.sampled
            target[name.removesuffix(" greedy")] = list(iter_trajectories(path))

    def within(self, trajectories: Sequence[Trajectory], key: str, value: str) -> list[Trajectory]:
        """Those whose question has ``metadata[key] == value``."""
        return [t for t in trajectories if self.questions[t.question_id].metadata.get(key) == value]

    def names(self, key: str) -> list[str]:
        """Values of ``metadata[key]`` in the order in which they occur."""
        return list(dict.fromkeys(str(q.metadata[key]) for q in self.questions.values()))


def correctness(trajectories: Sequence[Trajectory]) -> Values:
    """1 or 0 per sample that was not lost to infrastructure, by question."""
    values: Values = defaultdict(list)
    for trajectory in trajectories:
        if not trajectory.failed:
            values[trajectory.question_id].append(float(bool(trajectory.metadata.get("correct"))))
    return values


def summarize(evaluations: Evaluations, *, seed: int = 0) -> dict[str, Any]:
    """Models, and the paired difference of every trained student to the vanilla one.

    Rates and the alignment score are of the sampled in-domain trajectories; the alignment score compares with the
    teacher's on the same questions.
    """
    teacher = evaluations.within(evaluations.sampled.get("teacher", []), GROUP, "in_domain")
    models = {name: _model(evaluations, name, calls_by_question(teacher), seed) for name in evaluations.sampled}
    vanilla = evaluations.sampled["vanilla"]
    differences = {
        name: _difference(evaluations, vanilla, drawn, seed)
        for name, drawn in evaluations.sampled.items()
        if name not in ("vanilla", "teacher")
    }
    return {"models": models, "difference": differences.get("trained"), "differences": differences}


def _model(evaluations: Evaluations, name: str, teacher: CallsByQuestion, seed: int) -> dict[str, Any]:
    sampled = evaluations.sampled[name]
    inside = evaluations.within(sampled, GROUP, "in_domain")
    usage = tool_usage(inside)
    row: dict[str, Any] = {group: _accuracy(evaluations.within(sampled, GROUP, group), seed) for group in GROUPS}
    row |= {"alignment_score": None, "invalid_rate": usage.invalid_rate, "usage_rate": usage.usage_rate}
    row |= {"calls_per_question": usage.calls_per_question, "errors": usage.errors, "by_tool": usage.by_tool}
    row["infrastructure_failures"] = sum(t.failed for t in sampled)
    calls = calls_by_question(inside)
    if teacher.keys() & calls.keys():
        scored = alignment(teacher, calls, seed=seed)
        row |= {"alignment_score": scored.alignment_score, "alignment": scored.model_dump()}
    row["splits"] = {
        split: _accuracy(evaluations.within(sampled, SPLIT, split), seed) for split in evaluations.names(SPLIT)
    }
    if name in evaluations.greedy:
        greedy = evaluations.greedy[name]
        row["greedy"] = {group: _accuracy(evaluations.within(greedy, GROUP, group), seed) for group in GROUPS}
    return row


def _accuracy(trajectories: Sequence[Trajectory], seed: int) -> dict[str, Any] | None:
    values = correctness(trajectories)
    if not values:
        return None
    estimate = cluster_bootstrap(values, seed=seed)
    return {
        "accuracy": estimate.mean, "low": estimate.low, "high": estimate.high, "n": estimate.n,
        "questions": estimate.clusters,
    }  # fmt: skip


def _difference(
    evaluations: Evaluations, before: Sequence[Trajectory], after: Sequence[Trajectory], seed: int
) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for group in GROUPS:
        old, new = (correctness(evaluations.within(part, GROUP, group)) for part in (before, after))
        result[group] = paired_difference(old, new, seed=seed).model_dump() if old and new else None
    return result
