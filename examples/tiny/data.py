"""Write the world's data: the corpus and the four question sets."""

from __future__ import annotations

import json
from pathlib import Path

from examples.tiny import corpus
from examples.tiny.world import Problem, Split, problems
from mentor.data.files import write_text
from mentor.data.questions import write_questions
from mentor.trajectory import Question

SIZES: dict[Split, int] = {"train": 400, "in_domain": 102, "ood_phrasing": 60, "ood_search": 60}


def question(problem: Problem, identifier: str) -> Question:
    """A problem as the rest of the system reads it."""
    return Question(
        id=identifier,
        question=problem.question,
        answers=(problem.answer,),
        tools=problem.tools,
        data_source="tiny",
        ability="math",
        category=problem.kind,
        metadata={"kind": problem.kind, "calls": len(problem.plan)},
    )


def questions(split: Split, seed: int) -> list[Question]:
    """The question set of a split."""
    found = problems(split, SIZES[split], seed)
    return [question(problem, f"{split}-{index:04d}") for index, problem in enumerate(found)]


def write(directory: Path, seed: int) -> list[Path]:
    """Write ``corpus.jsonl`` and ``questions/<split>.jsonl`` under ``directory``; the same seed gives the same bytes."""
    target = directory / "corpus.jsonl"
    write_text(target, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in corpus.rows()))
    written = [target]
    for split in SIZES:
        path = directory / "questions" / f"{split}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_questions(questions(split, seed), path)
        written.append(path)
    return written
