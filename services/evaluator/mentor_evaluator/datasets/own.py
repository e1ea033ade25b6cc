"""A user's own suite, without code: a file, its columns, tools, a scorer, and how scores are summed up."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import mean, median
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from mentor.data.files import read_mapping
from mentor.errors import UserError
from mentor.reach import Reach
from mentor.trajectory import Frozen, Question
from mentor_evaluator.datasets import columns, rows
from mentor_evaluator.datasets.placed import MATH
from mentor_evaluator.datasets.rows import Row
from mentor_evaluator.scorers import SCORERS, Score
from mentor_evaluator.suites import Loaded

_AGGREGATIONS: dict[str, Callable[[list[float]], float]] = {"mean": mean, "median": median, "min": min, "max": max}


class OwnSuite(Frozen):
    """Rows of a file as questions.

    A column left out is found under the names that published sets use. ``tools``: names of built-in tools, the 12 math
    tools where left out, none where empty. ``measures``: a figure per measure of the scorer, such as ``{f1: mean}``.
    """

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")
    summary: str = "a user's own questions"
    file: Annotated[str, Reach.PATH]
    question: str | None = Field(default=None, description="column of the question")
    answers: str | None = Field(default=None, description="column of the answer or answers")
    id: str | None = Field(default=None, description="column of the id")
    category: str | None = Field(default=None, description="column to break accuracy down by")
    tools: tuple[str, ...] = MATH
    scorer: str = "math_response"
    measures: dict[str, Literal["mean", "median", "min", "max"]] = Field(
        default_factory=dict, description="figures from the scorer's measures"
    )
    groups: tuple[str, ...] = ("own",)

    def load(self, folder: Path, *, skip_broken: bool = False) -> Loaded:
        """``folder`` is not looked at: the file is named."""
        SCORERS.get(self.scorer, f"own.{self.name}.scorer")
        file = Path(self.file)
        questions, skipped = rows.read(file, self._question, skip_broken=skip_broken)
        return Loaded(questions=tuple(questions), skipped=tuple(skipped), sources={file.name: rows.checksum(file)})

    def _question(self, row: Row, index: int) -> Question:
        named = (("question", self.question), ("answers", self.answers), ("id", self.id))
        view = {**row, **{field: _column(row, column) for field, column in named if column}}
        if self.question:
            view.pop("Body", None)  # a named column is the whole question
        category = _column(row, self.category)
        return Question(
            id=columns.identity_of(view, index),
            question=columns.question_of(view),
            answers=columns.answers_of(view),
            tools=self.tools,
            data_source=self.name,
            category=None if category is None else str(category),
        )

    def aggregate(self, scores: Mapping[str, Sequence[Score]]) -> dict[str, float]:
        every = [score for samples in scores.values() for score in samples]
        found = {}
        for measure, how in self.measures.items():
            values = [score.values[measure] for score in every if measure in score.values]
            if values:
                found[f"{measure}_{how}"] = float(_AGGREGATIONS[how](values))
        return found


def _column(row: Row, name: str | None) -> Any:
    if name is None:
        return None
    if row.get(name) is None:
        raise ValueError(f"no column {name!r} (there are {', '.join(map(str, row))})")
    return row[name]


def read_own_suite(path: Path) -> OwnSuite:
    """A suite from a YAML file; ``file`` in it is relative to the YAML.

    Raises:
        UserError: naming the field.
    """
    values = read_mapping(path, "suites")
    try:
        suite = OwnSuite.model_validate({"name": path.stem.lower(), **values})
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise UserError(
            f"{path}: {where}: {first['msg']}", field=where, allowed=", ".join(OwnSuite.model_fields)
        ) from error
    return suite.model_copy(update={"file": str((path.parent / suite.file).resolve())})
