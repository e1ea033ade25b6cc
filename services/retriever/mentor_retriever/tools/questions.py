"""Questions with golden answers, in the shapes that QA sets have."""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from mentor.errors import UserError
from mentor.grading.qa import normalize


@dataclass(frozen=True)
class Question:
    """A question and what counts as its answer; ``answers`` may be empty."""

    text: str
    answers: tuple[str, ...]

    def answered_by(self, passages: list[str]) -> bool:
        """Whether an answer stands in one of the passages, both normalised as for exact match."""
        wanted = [f" {normalize(answer)} " for answer in self.answers]
        return any(answer in f" {normalize(passage)} " for passage in passages for answer in wanted)


def read_questions(path: Path, limit: int | None) -> list[Question]:
    """The first questions of a file of JSON lines.

    Raises:
        UserError: it cannot be read, or a line has no question.
    """
    try:
        with path.open(encoding="utf-8") as file:
            return [_question(path, number, line) for number, line in islice(enumerate(file, 1), limit) if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read {path}: {error}", field="questions") from None


def _question(path: Path, number: int, line: str) -> Question:
    try:
        row = json.loads(line)
        found = row.get("golden_answers", row.get("answers", row.get("answer", [])))
        return Question(str(row["question"]), tuple([found] if isinstance(found, str) else map(str, found)))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"{path}:{number}: a line is {{question, golden_answers}}: {error}", field="questions"
        ) from None
