"""A data set on disk: every kind of file, from one set of trajectories and what became of them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mentor.analysis import executed_by_backend
from mentor.data import write_questions, write_text, write_trajectories
from mentor.data.parquet import write_parquet
from mentor.rollout.solve import CORRECT
from mentor.trajectory import Question
from mentor_teacher.output.card import write_card
from mentor_teacher.output.layout import (
    CARD,
    MANIFEST,
    PAGE,
    PREFERENCES,
    REFERENCES,
    SFT,
    SFT_TEXT,
    SUMMARY,
    TRAJECTORIES,
    by_question,
    named,
)
from mentor_teacher.output.manifest import Origin, make_manifest
from mentor_teacher.output.messages import Writer
from mentor_teacher.output.preferences import pairs, write_preferences
from mentor_teacher.output.sft import write_sft
from mentor_teacher.output.splits import split
from mentor_teacher.output.statistics import statistics
from mentor_teacher.output.wholes import write_wholes
from mentor_teacher.select import Selected, Step

FILES = ("references.parquet", "references.jsonl", "trajectories.jsonl", "summary.json")
"""Artefacts of a job by themselves, beside the folder that holds everything."""
WHY_NONE = (f"{TRAJECTORIES}.jsonl", SUMMARY, PAGE)
"""What a job commits that kept no trajectory: why that is, and nothing that could be taken for a data set."""
PAIRS = "preferences.jsonl"
"""One more, where some question has a pair: what DPO trains on."""


def write_dataset(
    out: Path,
    questions: Sequence[Question],
    selected: Selected,
    origin: Origin,
    *,
    name: str,
    shares: Mapping[str, float] | None = None,
    screened: Sequence[Step] = (),
    facts: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Write everything below a folder; returns the summary.

    Args:
        questions: all that were asked.
        shares: of questions by the split's name; none: no splits.
        screened: filters that dropped questions before anything was drawn.
        facts: what else the summary says of where they came from.
    """
    from mentor_teacher.output.page import write_page  # figures are a heavy import, for a service that only takes jobs

    parts = split(selected.questions, shares or {})
    manifest = make_manifest(origin, questions, selected, screened, parts)
    filled = _write_parts(out, parts, selected, list(manifest.splits))
    write_trajectories(selected.trajectories, out / f"{TRAJECTORIES}.jsonl")
    write_wholes(selected.trajectories, out / f"{TRAJECTORIES}.parquet")
    found = statistics(selected.trajectories, len(questions), [step.filter for step in selected.steps])
    head = {
        "name": name, "kind": origin.kind, "model": origin.model, "made": manifest.made, "rejected": origin.rejected,
        "screened": {step.filter: step.dropped for step in screened if step.dropped},
    }  # fmt: skip
    write_page(found, head, out / PAGE)
    write_card(manifest, found, filled, out / CARD, name)
    write_text(out / MANIFEST, manifest.model_dump_json(indent=2) + "\n")
    summary = {
        **(facts or {}),
        "questions": len(questions),
        "questions_with_references": len(selected.questions),
        "trajectories": len(selected.trajectories),
        **_counts(selected),
        "questions_screened": head["screened"],
        "splits": manifest.splits,
        "accuracy": sum(bool(t.metadata.get(CORRECT)) for t in selected.trajectories)
        / max(1, len(selected.trajectories)),
        "tool_calls_by_backend": dict(executed_by_backend(selected.trajectories)),
    }
    write_text(out / SUMMARY, json.dumps(summary, indent=2) + "\n")
    return summary


def _write_parts(
    out: Path, parts: Mapping[str | None, Sequence[Question]], selected: Selected, splits: Sequence[str]
) -> dict[str, list[str]]:
    """Write what is by split; returns, by kind of file, the splits that have a row."""
    for kind in (REFERENCES, SFT, SFT_TEXT, PREFERENCES):  # of an earlier set with other splits
        for stale in (*out.glob(f"{kind}.*"), *out.glob(f"{kind}-*")):
            stale.unlink()
    samples, writer = by_question(selected.trajectories), Writer()
    filled: dict[str, list[str]] = {REFERENCES: [], SFT: [], SFT_TEXT: [], PREFERENCES: []}
    for part, questions in parts.items():
        write_parquet(questions, out / named(REFERENCES, part, splits, ".parquet"))
        write_questions(questions, out / named(REFERENCES, part, splits, ".jsonl"))
        write_sft(questions, samples, out, writer, part, splits)
        write_preferences(questions, samples, out, writer, part, splits)
        title = part or "train"
        for kind in (REFERENCES, SFT, SFT_TEXT) if questions else ():
            filled[kind].append(title)
        if any(pairs(samples.get(question.id, ())) for question in questions):
            filled[PREFERENCES].append(title)
    return {**filled, TRAJECTORIES: ["train"] if selected.trajectories else []}


def _counts(selected: Selected) -> dict[str, int]:
    """What became of every trajectory; what a filter that did not run would have dropped is 0."""
    built_in = dict.fromkeys(("wrong", "unanswered", "without_tools"), 0)
    return {"kept": selected.kept, **built_in, **selected.dropped, "surplus": selected.surplus, "lost": selected.lost}
