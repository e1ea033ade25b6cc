"""Where no ground truth exists, the samples of a question vote: those that gave the answer of the majority are kept."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

from pydantic import Field

from mentor.analysis.votes import classes
from mentor.grading import JUDGES, JudgeName
from mentor.grading.judges import AnswerJudge
from mentor_teacher.filters import Candidate, Explained, FilterUse, Why

NAME = "agreement"


class Settings(FilterUse):
    """``share``: of the samples that answered, so many have to agree; ``samples``: so many have to have answered.
    ``judge`` says which answers are the same. ``everywhere``: hold questions with a ground truth to it as well.
    """

    share: float = Field(default=0.6, gt=0.5, le=1)
    samples: int = Field(default=3, ge=2)
    judge: JudgeName = "math"
    everywhere: bool = False


class _Agreement(Explained[Settings]):
    name = NAME
    summary = "without a ground truth, keeps what most samples answered (share, samples, judge, everywhere)"
    Options = Settings

    def drops(self, candidates: Sequence[Candidate], options: Settings) -> list[Why]:
        groups: dict[str, list[int]] = defaultdict(list)
        for place, candidate in enumerate(candidates):
            if options.everywhere or not candidate.question.answers:
                groups[candidate.question.id].append(place)
        said: list[Why] = [None] * len(candidates)
        judge = JUDGES.get(options.judge, "judge")
        for places in groups.values():
            answers = [candidates[place].trajectory.answer for place in places]
            for place, why in zip(places, _vote(answers, judge, options), strict=True):
                said[place] = why
        return said


def _vote(answers: Sequence[str | None], judge: AnswerJudge, options: Settings) -> list[Why]:
    votes = classes(answers, lambda one, other: judge.grade(answers[one], [answers[other] or ""]).correct)
    counts = Counter(vote for vote in votes if vote is not None)
    voting = sum(counts.values())
    if voting < options.samples:
        return [f"{voting} answers, fewer than {options.samples}"] * len(answers)
    winner, most = counts.most_common(1)[0]
    if most / voting < options.share:
        return [f"{most} of {voting} samples agree"] * len(answers)
    return [None if vote == winner else f"{most} of {voting} samples answered otherwise" for vote in votes]


PLUGIN = _Agreement()
