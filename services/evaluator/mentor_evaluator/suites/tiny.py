"""The tiny world: three sets of questions that the shipped checkpoints of a few million weights can be measured on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mentor.data import read_questions
from mentor.errors import UserError
from mentor.local.layout import example_path
from mentor_evaluator.datasets.rows import checksum
from mentor_evaluator.scorers import Score
from mentor_evaluator.suites import Loaded


@dataclass(frozen=True)
class _Tiny:
    """One set; ``file`` is its name in ``examples/tiny/questions``, or in the folder ``tiny`` among the data sets."""

    name: str
    summary: str
    file: str
    groups: tuple[str, ...] = ("tiny",)
    scorer: str = "math"

    def load(self, folder: Path, *, skip_broken: bool = False) -> Loaded:
        places = (folder / "tiny" / self.file, folder / "tiny" / "questions" / self.file)
        file = next((place for place in places if place.is_file()), None) or _shipped(places[0], self.file)
        return Loaded(questions=tuple(read_questions(file, "suites")), sources={file.name: checksum(file)})

    def aggregate(self, scores: Mapping[str, Sequence[Score]]) -> dict[str, float]:
        return {}


def _shipped(placed: Path, file: str) -> Path:
    shipped = example_path(f"questions/{file}")
    if not shipped.is_file():
        raise UserError(
            f"{placed} is not there", field="suites", allowed=f"examples/tiny/questions/{file} in its place"
        )
    return shipped


PLUGINS = (
    _Tiny("tiny-in-domain", "the tiny world as the student was trained on it", "in_domain.jsonl"),
    _Tiny("tiny-phrasing", "the tiny world in words that training never showed", "ood_phrasing.jsonl"),
    _Tiny("tiny-search", "the tiny world with facts that must be looked up", "ood_search.jsonl"),
)
