"""Questions that stand in evaluation sets too, by runs of words: training on them would make the evaluation worthless."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from mentor.data import read_questions
from mentor.reach import Reach
from mentor.trajectory import Question
from mentor_teacher.filters import FilterUse, QuestionFilter, Why
from mentor_teacher.texts import words

Gram = tuple[str, ...]
_FEWEST = 4
"""Fewer words than this name no question."""


class Settings(FilterUse):
    """``sets``: files of questions that are evaluated on. A question is dropped that shares so large a part (``share``)
    of its runs of ``n`` words, or of theirs, with one of them. A question shorter than ``n`` words is one run.
    """

    sets: Annotated[tuple[str, ...], Reach.PATH] = Field(min_length=1)
    n: int = Field(default=8, ge=3, le=50)
    share: float = Field(default=0.5, gt=0, le=1)

    def check(self, field: str) -> None:
        for number, file in enumerate(self.sets):
            read_questions(file, f"{field}.sets.{number}")


class _Contamination(QuestionFilter[Settings]):
    name = "contamination"
    summary = "drops questions of evaluation sets (sets: files of questions; n words, share)"
    Options = Settings

    def drops_questions(self, questions: Sequence[Question], options: Settings) -> list[Why]:
        index = _Index(options)
        return [index.why(question) for question in questions]


class _Index:
    """The evaluation questions by their runs of words."""

    def __init__(self, options: Settings) -> None:
        self._options = options
        self._names: list[str] = []
        self._sizes: list[int] = []
        self._by_gram: dict[Gram, list[int]] = defaultdict(list)
        for number, file in enumerate(options.sets):
            for question in read_questions(file, f"filters.contamination.sets.{number}"):
                self._add(question)
        self._lengths = sorted({len(gram) for gram in self._by_gram})

    def _add(self, question: Question) -> None:
        grams = _grams(words(question.question), self._options.n)
        for gram in grams:
            self._by_gram[gram].append(len(self._names))
        self._names.append(question.id)
        self._sizes.append(len(grams))

    def why(self, question: Question) -> Why:
        said = words(question.question)
        # Runs of ours as long as any of theirs: short questions of theirs are found inside longer ones.
        ours = {gram for length in self._lengths for gram in _grams(said, length)}
        shared = Counter(place for gram in ours for place in self._by_gram.get(gram, ()))
        own = max(1, len(_grams(said, self._options.n)))
        for place, common in shared.most_common():
            if max(common / self._sizes[place], min(1.0, common / own)) >= self._options.share:
                return f"shares {common} runs of words with evaluation question {self._names[place]!r}"
        return None


def _grams(said: Sequence[str], n: int) -> set[Gram]:
    if len(said) < _FEWEST:
        return set()
    length = min(n, len(said))
    return {tuple(said[start : start + length]) for start in range(len(said) - length + 1)}


PLUGIN = _Contamination()
