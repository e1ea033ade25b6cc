"""Evaluation records in the published shape: one JSON line per sample."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mentor.data import write_text
from mentor.rollout.chat_policy import assistant_message
from mentor.rollout.prompts import opening_messages
from mentor.trajectory import Question, Trajectory
from mentor_evaluator.runs import Run


def write_records(run: Run, path: Path) -> None:
    """All samples of a run as JSON lines, atomically."""
    lines = (
        json.dumps(record(questions[t.question_id], t, cell.model), ensure_ascii=False)
        for cell in run.cells()
        for questions in [{question.id: question for question in cell.questions}]
        for t in cell.trajectories
    )
    write_text(path, "".join(f"{line}\n" for line in lines))


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
