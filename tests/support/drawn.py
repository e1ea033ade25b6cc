"""Trajectories as a teacher draws them, in few words."""

from __future__ import annotations

from typing import Any

from mentor.trajectory import Observation, Question, Termination, ToolCall, Trajectory, Turn

Step = tuple[str, str, dict[str, Any], str]
"""What is said, a tool, its arguments, and what it returned; a result that begins with ``!`` is a failure."""
SUM: Step = ("I add.", "add", {"firstNumber": 40, "secondNumber": 2}, "42")


def question(
    name: str = "q", text: str = "What is 40 and 2 together?", answer: str | None = "42", **more: Any
) -> Question:
    """A question with one accepted answer, or none."""
    return Question(id=name, question=text, answers=() if answer is None else (answer,), **more)


def drawn(
    asked: Question,
    *steps: Step,
    answer: str | None = "42",
    sample: int = 0,
    correct: bool | None = None,
    final: str | None = None,
    **more: Any,
) -> Trajectory:
    """A trajectory that takes these steps and answers; ``correct`` as comparing texts says, where it is left out."""
    turns = [
        Turn(
            text=said, tool_calls=(ToolCall(name=tool, arguments=arguments, id=f"call_{n}"),),
            observations=(
                Observation(
                    name=tool, content=returned.removeprefix("!"), ok=not returned.startswith("!"), call_id=f"call_{n}",
                    error_type="tool_error" if returned.startswith("!") else None,
                ),
            ),
        )
        for n, (said, tool, arguments, returned) in enumerate(steps)
    ]  # fmt: skip
    said = final if final is not None else f"The answer is \\boxed{{{answer}}}."
    right = answer in asked.answers if correct is None else correct
    fields: dict[str, Any] = {
        "question_id": asked.id, "question": asked.question, "turns": (*turns, Turn(text=said)), "answer": answer,
        "sample": sample, "termination": Termination.ANSWERED, "model": "teacher", "mode": "chat",
        "metadata": {"correct": right},
    }  # fmt: skip
    return Trajectory(**(fields | more))
