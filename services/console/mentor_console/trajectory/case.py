"""A trajectory as a test case: the question, what was done, and what came of it, to be pasted into a test."""

from __future__ import annotations

from typing import Any

from mentor.trajectory import Question, Trajectory


def case_of(
    key: str, job: str, trajectory: Trajectory, question: Question | None, correct: bool | None
) -> dict[str, Any]:
    """``question`` reads as a ``Question``, ``reference`` as a ``Reference``, ``calls`` hold what came back."""
    asked = question or Question(id=trajectory.question_id, question=trajectory.question)
    return {
        "source": {"trajectory": key, "job": job, "model": trajectory.model, "sample": trajectory.sample},
        "question": asked.model_dump(mode="json", exclude_defaults=True),
        "reference": trajectory.reference().model_dump(mode="json"),
        "calls": [
            {
                "name": call.name, "arguments": call.arguments, "ok": seen.ok, "executed": seen.executed,
                "error_type": seen.error_type, "content": seen.content,
            }
            for call, seen in trajectory.pairs()
        ],
        "termination": str(trajectory.termination), "answer": trajectory.answer, "correct": correct,
    }  # fmt: skip
