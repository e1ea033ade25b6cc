"""Splits by the hash of a question's text: stable when questions are added, and no question is on both sides."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

from mentor.trajectory import Question
from mentor_teacher.texts import words

SPLIT = "split"
"""Key in ``Question.metadata``."""


def split_of(question: Question, shares: Mapping[str, float]) -> str:
    """The split of a question: texts that differ in case, marks or spaces alone share one."""
    said = " ".join(words(question.question)) or question.question
    place = int.from_bytes(hashlib.sha256(said.encode()).digest()[:8], "big") / 2**64
    for name, share in shares.items():
        place -= share
        if place < 0:
            return name
    return list(shares)[-1]


def split(questions: Sequence[Question], shares: Mapping[str, float]) -> dict[str | None, list[Question]]:
    """Questions by split, each saying its own; one nameless split where none are asked for."""
    if not shares:
        return {None: list(questions)}
    found: dict[str | None, list[Question]] = {name: [] for name in shares}
    for question in questions:
        name = split_of(question, shares)
        found[name].append(question.model_copy(update={"metadata": {**question.metadata, SPLIT: name}}))
    return found
