"""Questions that say nearly what an earlier one says: MinHash finds candidates, their exact overlap decides.

Word problems of one template differ in their numbers alone, and are different questions: by default only questions with the
same numbers are compared.
"""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field
from rensa import RMinHash, RMinHashLSH

from mentor.trajectory import Question
from mentor_teacher.filters import FilterUse, QuestionFilter, Why
from mentor_teacher.texts import number_counts, words

_PERMUTATIONS, _BANDS = 128, 32
"""Four rows a band: of pairs with an overlap of 0.5, 87 in 100 are looked at, of those with 0.6 99, of 0.7 all but 2 in
10,000.
"""
_SEED = 0


class Settings(FilterUse):
    """``threshold``: Jaccard overlap of the questions' runs of ``shingle`` words from which the later one is dropped.
    ``any_numbers``: compare questions that name different numbers too."""

    threshold: float = Field(default=0.7, ge=0.5, le=1)
    shingle: int = Field(default=2, ge=1, le=10)
    any_numbers: bool = False


class _NearDuplicates(QuestionFilter[Settings]):
    name = "near_duplicates"
    summary = "drops questions that nearly repeat an earlier one (MinHash; threshold, shingle, any_numbers)"
    Options = Settings

    def drops_questions(self, questions: Sequence[Question], options: Settings) -> list[Why]:
        index = RMinHashLSH(threshold=options.threshold, num_perm=_PERMUTATIONS, num_bands=_BANDS)
        sets = [shingles(question.question, options.shingle) for question in questions]
        found: list[Why] = []
        for position in range(len(questions)):
            sketch = RMinHash(num_perm=_PERMUTATIONS, seed=_SEED)
            sketch.update(sorted(sets[position]))
            twin = _twin(position, sorted(index.query(sketch)), questions, sets, options)
            if twin is None:
                index.insert(position, sketch)
            found.append(None if twin is None else f"repeats question {questions[twin].id!r}")
        return found


def _twin(
    position: int, near: Sequence[int], questions: Sequence[Question], sets: Sequence[frozenset[str]], options: Settings
) -> int | None:
    ours = sets[position]
    for other in near:
        together = len(ours | sets[other])
        alike = len(ours & sets[other]) / together if together else 1.0
        same = options.any_numbers or _numbers(questions[position]) == _numbers(questions[other])
        if alike >= options.threshold and same:
            return other
    return None


def _numbers(question: Question) -> object:
    return number_counts(question.question)


def shingles(text: str, size: int) -> frozenset[str]:
    """Runs of ``size`` words; of a shorter text the whole."""
    said = words(text)
    return frozenset(" ".join(said[n : n + size]) for n in range(max(1, len(said) - size + 1)))


PLUGIN = _NearDuplicates()
