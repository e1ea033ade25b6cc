"""Evaluation records in the published shape: one JSON line per sample."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from mentor.data import write_text
from mentor.rollout.chat_policy import assistant_message
from mentor.rollout.prompts import opening_messages
from mentor.trajectory import Question, Trajectory
from mentor_evaluator.runs import CellFolder


def write_records(cells: Iterable[CellFolder], path: Path) -> None:
    """The samples of cells as JSON lines, atomically; those lost to infrastructure are no records of a model."""
    write_text(path, "".join(f"{line}\n" for cell in cells for line in _lines(cell)))


def _lines(cell: CellFolder) -> Iterator[str]:
    questions = {question.id: question for question in cell.questions}
    for trajectory in cell.trajectories:
        if not trajectory.failed:
            row = record(questions[trajectory.question_id], trajectory, cell.model)
            yield json.dumps(row, ensure_ascii=False)


def record(question: Question, trajectory: Trajectory, model_name: str) -> dict[str, Any]:
    """One sample as published evaluation scripts write it, with the trajectory's own fields beside."""
    return {
        "question": question.question,
        "messages": messages(question, trajectory),
        "reward_model": {"ground_truth": list(question.answers), "style": "rule"},
        "model_answer": trajectory.answer,
        "is_correct": bool(trajectory.metadata.get("correct")),
        "model_name": model_name,
        "dataset_name": question.data_source,
        "ability": question.ability,
        "turns_used": len(trajectory.turns),
        "category": question.category,
        "tools_used": [o.name for o in trajectory.observations if o.executed],
        "invalid_tools_used": [o.name for o in trajectory.observations if not o.ok],
        "extra_info": {
            "id": question.id,
            "sample": trajectory.sample,
            "termination": str(trajectory.termination),
            "error": trajectory.error,
        },
    }


def messages(question: Question, trajectory: Trajectory) -> list[dict[str, Any]]:
    """The conversation as OpenAI messages, from what the question opens it with."""
    out = opening_messages(question)
    for turn in trajectory.turns:
        out.append(assistant_message(turn))
        for seen in turn.observations:
            out.append({"role": "tool", "tool_call_id": seen.call_id, "name": seen.name, "content": seen.content})
    return out
