"""A set that users place in their data folder, by ``mentor data fetch`` or by hand."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mentor.errors import UserError
from mentor.tools import MATH_TOOLS, WIKIPEDIA_SEARCH
from mentor.trajectory import Question
from mentor_evaluator.datasets import columns, rows
from mentor_evaluator.datasets.rows import SUFFIXES, Row
from mentor_evaluator.scorers import Score
from mentor_evaluator.suites import Loaded

MATH = tuple(tool.name for tool in MATH_TOOLS)
_SPLIT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
SEARCH = (WIKIPEDIA_SEARCH.name,)


@dataclass(frozen=True)
class PlacedSuite:
    """A suite over one file.

    ``split``: the file's name as published evaluation places it, ``eval_dataset/NAME/SPLIT.jsonl``; ``NAME.jsonl`` in the
    data folder does as well (or ``.json``, ``.parquet``). ``size``: questions of the whole set, for listings. ``fetch``:
    its entry in the catalogue, where there is one. ``category``: a column to break accuracy down by.
    """

    name: str
    summary: str
    size: int
    groups: tuple[str, ...] = ()
    scorer: str = "math_response"
    tools: tuple[str, ...] = MATH
    ability: str = "math"
    split: str = "test"
    fetch: bool = True
    category: str | None = None

    def load(self, folder: Path, *, skip_broken: bool = False) -> Loaded:
        file = self.find(folder)
        questions, skipped = rows.read(file, self.question, skip_broken=skip_broken)
        return Loaded(questions=tuple(questions), skipped=tuple(skipped), sources={file.name: rows.checksum(file)})

    def with_options(self, options: Mapping[str, Any]) -> PlacedSuite:
        """Another split of the set.

        Raises:
            UserError: an option that it does not understand.
        """
        if set(options) != {"split"}:
            raise UserError(
                f"options of {self.name}: {', '.join(options)}", field=f"options.{self.name}", allowed="split"
            )
        split = options["split"]
        if not isinstance(split, str) or not _SPLIT.fullmatch(split):  # it becomes part of a path
            raise UserError(
                f"split is {split!r}", field=f"options.{self.name}.split", allowed="a plain name, such as test"
            )
        return replace(self, split=split)

    def find(self, folder: Path) -> Path:
        """The set's file.

        Raises:
            UserError: it is in none of its places; ``allowed`` says what to do.
        """
        stems = (folder / "eval_dataset" / self.name / self.split, folder / self.name / self.split, folder / self.name)
        for stem in stems:
            for suffix in SUFFIXES:
                if (file := stem.parent / f"{stem.name}{suffix}").is_file():
                    return file
        by_command = f"`mentor data fetch {self.name} --to {folder}`, or " if self.fetch else ""
        raise UserError(
            f"the data of {self.name} are not in {folder.resolve()}",
            field="suites",
            allowed=f"{by_command}{self.size} rows of question and answer in {stems[0]}.jsonl or {stems[2]}.jsonl"
            " (or .json, .parquet); MENTOR_DATA names another folder",
        )

    def question(self, row: Row, index: int) -> Question:
        """One row as a question."""
        category = row.get(self.category) if self.category else None
        return Question(
            id=columns.identity_of(row, index),
            question=columns.question_of(row),
            answers=columns.answers_of(row),
            tools=self.tools,
            data_source=self.name,
            ability=self.ability,
            category=None if category is None else str(category),
        )

    def aggregate(self, scores: Mapping[str, Sequence[Score]]) -> dict[str, float]:
        """Means of the scores' further values: F1 and the like."""
        every = [score for samples in scores.values() for score in samples]
        names = sorted({name for score in every for name in score.values})
        return {name: sum(score.values.get(name, 0.0) for score in every) / len(every) for name in names}
