"""A small training set and spec for tests of the trainer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mentor.data import write_questions, write_trajectories
from mentor.tools import MATH_TOOLS
from mentor.trajectory import CallSignature, Observation, Question, Reference, ToolCall, Trajectory, Turn
from tests.support.service_process import ROOT

STUDENT = ROOT / "examples" / "tiny" / "checkpoints" / "student"


def questions(count: int = 16) -> list[Question]:
    """Additions, each with one reference."""
    return [addition(10 + i, 20 + 3 * i) for i in range(count)]


def addition(a: int, b: int) -> Question:
    call = CallSignature(name="add", arguments={"firstNumber": a, "secondNumber": b})
    return Question(
        id=f"add-{a}-{b}",
        question=f"Ben finds {a} stamps on Monday and {b} more on Tuesday. How many stamps are there in total?",
        answers=(str(a + b),),
        references=(Reference(answer=str(a + b), tool_calls=(call,)),),
        data_source="tiny",
    )


def solved(question: Question) -> Trajectory:
    """The trajectory of a question's reference, as text: what a black-box teacher leaves."""
    call = question.references[0].tool_calls[0]
    answer = question.answers[0]
    said = f'<tool_call>\n{{"name": "add", "arguments": {{{_arguments(call)}}}}}\n</tool_call>'
    calling = Turn(
        text=said,
        tool_calls=(ToolCall(name="add", arguments=dict(call.arguments or {})),),
        observations=(Observation(name="add", content=answer),),
    )
    return Trajectory(
        question_id=question.id,
        question=question.question,
        turns=(calling, Turn(text=f"So the total comes to \\boxed{{{answer}}}.")),
        answer=answer,
        mode="chat",
        metadata={"correct": True},
    )


def _arguments(call: CallSignature) -> str:
    return ", ".join(f'"{name}": {value}' for name, value in (call.arguments or {}).items())


def write_set(folder: Path, count: int = 16) -> Path:
    """A question file in ``folder``."""
    path = folder / "train.jsonl"
    write_questions(questions(count), path)
    return path


def spec_values(folder: Path, **changes: Any) -> dict[str, Any]:
    """A spec that fits the tiny student and two steps; ``changes`` replace fields, None removes them."""
    values: dict[str, Any] = {
        "name": "test",
        "model": str(STUDENT),
        "train_files": [str(folder / "train.jsonl")],
        "output_dir": str(folder / "out"),
        "device": "cpu",
        "n_gpus_per_node": 1,
        "tensor_parallel": 1,
        "threads": 1,
        "gradient_checkpointing": False,
        "lr": 1e-4,
        "train_batch_size": 4,
        "mini_batch_size": 4,
        "rollouts": 4,
        "temperature": 1.0,
        "use_kl": False,
        "total_steps": 2,
        "max_prompt_length": 768,
        "max_response_length": 160,
        "loggers": [],
        "sandbox_url": "127.0.0.1:1",
    }
    return {k: v for k, v in {**values, **changes}.items() if v is not None}


def sft_values(folder: Path, **changes: Any) -> dict[str, Any]:
    """As ``spec_values``, of SFT on the solved questions."""
    write_set(folder)
    write_trajectories([solved(q) for q in questions()], folder / "t.jsonl")
    files = [str(folder / "t.jsonl")]
    return spec_values(folder, algorithm="sft", trajectory_files=files, sandbox_url=None, **changes)


def _preference(question: Question) -> dict[str, Any]:
    """A pair in TRL's format: the reference's way, and an answer without the tool that is wrong."""
    call = question.references[0].tool_calls[0]
    asked = [{"type": "function", "function": {"name": call.name, "arguments": call.arguments}}]
    sum_ = question.answers[0]
    return {
        "prompt": [{"role": "user", "content": question.question}],
        "chosen": [
            {"role": "assistant", "content": "", "tool_calls": asked},
            {"role": "tool", "name": "add", "content": sum_},
            {"role": "assistant", "content": f"So the total comes to \\boxed{{{sum_}}}."},
        ],
        "rejected": [{"role": "assistant", "content": "So the total comes to \\boxed{7}."}],
        "tools": [tool.openai() for tool in MATH_TOOLS[:2]],
    }


def dpo_values(folder: Path, **changes: Any) -> dict[str, Any]:
    """As ``spec_values``, of DPO on a pair for each question."""
    pairs = folder / "pairs.jsonl"
    pairs.write_text("".join(json.dumps(_preference(q)) + "\n" for q in questions()))
    return spec_values(
        folder, algorithm="dpo", preference_files=[str(pairs)], train_files=[], sandbox_url=None, **changes
    )
