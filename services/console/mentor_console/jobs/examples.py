"""First steps for somebody who has nothing: specs with which a form begins, and questions to begin with."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from typing import Any

from mentor_console.settings import ConsoleSettings

QUESTIONS = "first_questions.jsonl"


@dataclass(frozen=True)
class Example:
    """A form that is a click away. ``needs``: what has to be there."""

    name: str
    service: str
    kind: str
    title: str
    about: str


EXAMPLES = (
    Example("teacher", "teacher", "teacher", "A teacher's references",
            "Draw and verify solutions of twenty small questions: the data that a student learns from."),
    Example("evaluation", "evaluator", "evaluation", "An evaluation",
            "How many of twenty small questions do a model and the last trained student get right, and with which tools?"),
    Example("train", "trainer", "train", "A training run",
            "Train a student on the references of a teacher job that has succeeded."),
)  # fmt: skip


def questions() -> bytes:
    """Twenty questions of arithmetic with their answers, as JSON lines."""
    return (resources.files("mentor_console") / "static" / QUESTIONS).read_bytes()


def spec_of(
    example: Example, settings: ConsoleSettings, reference: str, data: str = "", trained: str = ""
) -> dict[str, Any]:
    """What its form begins with.

    Args:
        reference: the questions in the service's store.
        data: references that a teacher job committed, if there are any.
        trained: the model that a training run committed, if there is any.
    """
    model = next(({"url": url, "name": name} for name, url in settings.models.items()), {})
    sampling = {"temperature": 0.6, "max_tokens": 256, "seed": 0}
    limits = {"max_turns": 6, "max_response_tokens": 768}
    if example.name == "teacher":
        return {"model": model, "questions": reference, "samples": 2, "sampling": sampling, "limits": limits}
    if example.name == "evaluation":
        models = [{"name": model["name"], "model": model}] if model else []
        models += [{"name": "trained", "model": {"path": trained}}] if trained else []
        own = [{"name": "first-questions", "file": reference}]
        return {"models": models, "own": own, "samples": 2, "tools": "both", "sampling": sampling, "limits": limits}
    return {
        "model": settings.student, "train_files": [data] if data else "", "device": "cpu", "n_gpus_per_node": 1,
        "tensor_parallel": 1, "gradient_checkpointing": False, "lr": 1e-4, "train_batch_size": 8, "mini_batch_size": 8,
        "rollouts": 8, "temperature": 1.0, "use_kl": False, "total_steps": 10, "save_freq": 10, "max_turns": 6,
        "max_prompt_length": 256, "max_response_length": 512,
    }  # fmt: skip
