"""Trajectories of one question, as a teacher, a student in training and an evaluated model told them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mentor.data import write_questions, write_trajectories
from mentor.trajectory import Observation, Question, Reference, ToolCall, Trajectory, Turn
from tests.support.committed import CommittedJobs

QUESTION = Question(
    id="q1", question="What is 2 times 3, plus 4?", answers=("10",), tools=("multiply", "add"),
    references=(
        Reference(answer="10", tool_calls=({"name": "add"},), model="short"),
        Reference(answer="10", tool_calls=({"name": "multiply"}, {"name": "add"}), model="teacher"),
    ),
)  # fmt: skip

UPLOADED = f"file:{'5a' * 32}/student"
"""A student that a client uploaded: a name that no line holds and no space breaks."""


def told(model: str, second: int, sample: int = 0, **more: Any) -> Trajectory:
    """multiply 2 by 3, add ``second``, answer."""
    numbers = ({"firstNumber": 2, "secondNumber": 3}, {"firstNumber": 6, "secondNumber": second})
    turns = tuple(
        Turn(
            text=f"I {name}", reasoning="thinking aloud", token_ids=(1, 2, 3), logprobs=(-0.1, -1.5, -6.0),
            observation_ids=(7, 8), duration_s=0.5, tool_calls=(ToolCall(name=name, arguments=arguments, id=f"turn_{n}_0"),),
            observations=(Observation(name=name, content=str(value), call_id=f"turn_{n}_0", duration_ms=20),),
        )
        for n, (name, arguments, value) in enumerate(zip(("multiply", "add"), numbers, (6, 6 + second), strict=True))
    )  # fmt: skip
    last = Turn(text=f"The answer is \\boxed{{{6 + second}}}", token_ids=(4, 5), logprobs=(-0.2, -0.3), duration_s=0.25)
    right = second == 4
    verdict = {
        "correct": right,
        "verdict": {"reason": "equal" if right else "different", "values": {}, "notes": {}, "seconds": 0},
    }
    return Trajectory(
        question_id="q1", question=QUESTION.question, turns=(*turns, last), answer=str(6 + second), sample=sample, model=model,
        duration_s=2.0, metadata=verdict | more,
    )  # fmt: skip


def commit_told(jobs: CommittedJobs, folder: Path, **submitter: Any) -> dict[str, str]:
    """One job of each kind; ids by kind."""
    write_trajectories([told("teacher", 4), told("teacher", 5, sample=1)], folder / "t" / "trajectories.jsonl")
    write_questions([QUESTION], folder / "t" / "references.jsonl")
    names = ("trajectories.jsonl", "references.jsonl")
    teacher = jobs.job("teacher", {n: folder / "t" / n for n in names}, {"model": {"name": "teacher"}}, **submitter)
    rollouts = folder / "rollouts"
    rollouts.mkdir()
    for step in (1, 2):
        trajectory = told(UPLOADED, 3 + step - 1).model_dump(mode="json", exclude_defaults=True)
        right = float(step == 2)
        reward = {
            "total": 0.7 * right + 0.4,
            "correctness": right,
            "acc": right,
            "alignment": 1.0,
            "validation": 1.0,
            "excluded": 0.0,
        }
        (rollouts / f"step_{step}.jsonl").write_text(json.dumps({"trajectory": trajectory, "reward": reward}) + "\n")
    spec = {"reward": "flexible", "train_files": [f"artifact:{teacher}/references.jsonl"]}
    train = jobs.job("train", {"rollouts": rollouts}, spec, **submitter)
    cell = folder / "run" / "cells" / "student" / "tiny" / "tools"
    write_trajectories([told("student", 4), told("student", 9, sample=1)], cell / "trajectories.jsonl")
    write_questions([QUESTION], cell / "questions.jsonl")
    evaluation = jobs.job("evaluation", {"run": folder / "run"}, **submitter)
    return {"teacher": teacher, "train": train, "evaluation": evaluation}
