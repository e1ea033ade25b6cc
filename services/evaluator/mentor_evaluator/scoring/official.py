"""BFCL's result files: scored by its own checkers, a suite per category."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Sequence
from pathlib import Path

from mentor.data import write_text
from mentor.rollout.solve import CORRECT, VERDICT
from mentor.trajectory import Question, Trajectory
from mentor_evaluator.bfcl.aggregate import aggregate
from mentor_evaluator.bfcl.bench import Bench
from mentor_evaluator.bfcl.categories import Mode, category_of
from mentor_evaluator.bfcl.scoring import Verdict
from mentor_evaluator.scoring.shapes import Item, Row

LEADERBOARD = "bfcl.json"
"""In the run's folder: the official numbers, with bounds for what is missing."""


def official_items(rows: Sequence[Row], model: str | None) -> tuple[list[Verdict], list[Item]]:
    """The checkers' verdicts, and the same as samples.

    Raises:
        UserError: the package is not installed, or an id is of no category.
    """
    if not rows:
        return [], []
    verdicts = asyncio.run(_scored(rows))
    return verdicts, [_item(row, verdict, model) for row, verdict in zip(rows, verdicts, strict=True)]


async def _scored(rows: Sequence[Row]) -> list[Verdict]:
    with tempfile.TemporaryDirectory(prefix="mentor-bfcl-") as folder, Bench(_mode(rows), Path(folder)) as bench:
        return await bench.score([(row["id"], row["result"]) for row in rows])


def _mode(rows: Sequence[Row]) -> Mode:
    """As the rows say (ours do), else by their results: calls as data come of function calling only."""
    said = next((row["mode"] for row in rows if row.get("mode") in ("fc", "prompt")), None)
    if said:
        return "fc" if said == "fc" else "prompt"
    return "fc" if any(_has_calls(row["result"]) for row in rows) else "prompt"


def _has_calls(result: object) -> bool:
    return isinstance(result, dict) or (isinstance(result, list) and any(map(_has_calls, result)))


def _item(row: Row, verdict: Verdict, model: str | None) -> Item:
    category = category_of(row["id"])
    question = Question(id=row["id"], question=row["id"], data_source="bfcl", ability="bfcl", category=category)
    said = {"reason": verdict.reason, "values": {}, "seconds": 0.0}
    metadata = {CORRECT: verdict.valid, VERDICT: said}
    trajectory = Trajectory(question_id=row["id"], question=row["id"], metadata=metadata, mode="chat")
    return Item(question, trajectory, model, f"bfcl-{category}")


def write_leaderboards(verdicts: Sequence[Verdict], output: Path) -> None:
    """The official numbers, where there are verdicts."""
    if verdicts:
        write_text(output / LEADERBOARD, aggregate(verdicts).model_dump_json(indent=2) + "\n")
