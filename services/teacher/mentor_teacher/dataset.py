"""A data set on disk: references in the published parquet and as questions, every trajectory whole, and what became of each."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mentor.analysis import executed_by_backend
from mentor.data import write_questions, write_text, write_trajectories
from mentor.data.parquet import write_parquet
from mentor.rollout.solve import CORRECT
from mentor.trajectory import Question, Trajectory
from mentor_teacher.select import Selected

FILES = ("references.parquet", "references.jsonl", "trajectories.jsonl", "summary.json")


def write_dataset(
    out: Path, questions: Sequence[Question], drawn: Sequence[Trajectory], selected: Selected, facts: Mapping[str, Any]
) -> dict[str, Any]:
    """Write ``FILES`` below a folder; returns the summary.

    Args:
        questions: all that were asked.
        drawn: every trajectory, verified or not.
        facts: what the summary says of where they came from.
    """
    write_parquet(selected.questions, out / "references.parquet")
    write_questions(selected.questions, out / "references.jsonl")
    write_trajectories(drawn, out / "trajectories.jsonl")
    summary = {
        **facts,
        "questions": len(questions),
        "questions_with_references": len(selected.questions),
        "trajectories": len(drawn),
        **_counts(selected),
        "accuracy": sum(bool(t.metadata.get(CORRECT)) for t in drawn) / max(1, len(drawn)),
        "tool_calls_by_backend": dict(executed_by_backend(drawn)),
    }
    write_text(out / "summary.json", json.dumps(summary, indent=2) + "\n")
    return summary


def _counts(selected: Selected) -> dict[str, int]:
    """What became of every trajectory; what a filter that did not run would have dropped is 0."""
    built_in = dict.fromkeys(("wrong", "unanswered", "without_tools"), 0)
    return {"kept": selected.kept, **built_in, **selected.dropped, "surplus": selected.surplus, "lost": selected.lost}
