"""Files that steps derive from others without any job: evaluation sets in one file, a draw of questions, shuffled references.

Each takes its inputs and a new folder, and writes ``questions.jsonl`` there.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mentor.data import read_questions, write_questions
from mentor.errors import UserError
from mentor.local.distill import EvaluationSet, marked_questions
from mentor.trajectory import Question

QUESTIONS = "questions.jsonl"
Inputs = Mapping[str, Any]
"""A step's spec with paths in place of files and outputs."""


def evaluation_set(inputs: Inputs, folder: Path) -> None:
    """All evaluation sets of a world in one file, every question with the ``split`` and ``group`` that it belongs to.

    Raises:
        UserError: a set cannot be read, or two of them use one id.
    """
    sets = {name: EvaluationSet.model_validate(one) for name, one in inputs["sets"].items()}
    questions = marked_questions(sets)
    write_questions(questions, folder / QUESTIONS)
    read_questions(folder / QUESTIONS, "evaluation")


def subset(inputs: Inputs, folder: Path) -> None:
    """``count`` of the questions, drawn by ``seed``, in the order of their file.

    Raises:
        UserError: there are not so many.
    """
    questions = read_questions(inputs["questions"])
    count = inputs["count"]
    if count > len(questions):
        raise UserError(
            f"{count} of {len(questions)} questions", field="teacher_questions", allowed=f"at most {len(questions)}"
        )
    drawn = sorted(random.Random(inputs["seed"]).sample(range(len(questions)), count))
    write_questions([questions[index] for index in drawn], folder / QUESTIONS)


def shuffle(inputs: Inputs, folder: Path) -> None:
    """The questions, each with the references of another."""
    write_questions(shuffled_references(read_questions(inputs["questions"]), inputs["seed"]), folder / QUESTIONS)


def shuffled_references(questions: list[Question], seed: int) -> list[Question]:
    """The questions with references permuted among them so that none keeps its own; answers stay where they are.

    Raises:
        UserError: fewer than two questions.
    """
    if len(questions) < 2:
        raise UserError(f"{len(questions)} question", field="shuffle_references", allowed="2 or more with references")
    places = derangement(len(questions), seed)
    return [
        question.model_copy(update={"references": questions[other].references})
        for question, other in zip(questions, places, strict=True)
    ]


def derangement(count: int, seed: int) -> list[int]:
    """A permutation of ``range(count)`` without a fixed point: one cycle through all (Sattolo's algorithm)."""
    places, draw = list(range(count)), random.Random(seed)
    for last in range(count - 1, 0, -1):
        other = draw.randrange(last)
        places[last], places[other] = places[other], places[last]
    return places


DERIVED: Mapping[str, Callable[[Inputs, Path], None]] = {
    "evaluation_set": evaluation_set,
    "subset": subset,
    "shuffle": shuffle,
}
"""Kinds of steps that are no jobs."""
