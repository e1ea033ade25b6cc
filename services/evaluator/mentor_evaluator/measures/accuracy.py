"""Right answers: accuracy, avg@k, pass@k, maj@k, and the scorer's further measures."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence

from mentor.analysis import pass_at_k
from mentor.analysis.intervals import Estimate
from mentor.analysis.shares import share
from mentor.analysis.votes import classes, majority_at_k
from mentor.grading.response import final_answer
from mentor.rollout.solve import CORRECT, VERDICT
from mentor.trajectory import Question, Trajectory
from mentor_evaluator.scorers import SCORERS

_KS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
Grouped = Mapping[str, Sequence[Trajectory]]


def by_question(trajectories: Sequence[Trajectory]) -> dict[str, list[Trajectory]]:
    """Surviving samples by question id, in the order of their numbers."""
    found: dict[str, list[Trajectory]] = defaultdict(list)
    for trajectory in sorted(trajectories, key=lambda t: t.sample):
        if not trajectory.failed:
            found[trajectory.question_id].append(trajectory)
    return dict(found)


def is_right(trajectory: Trajectory) -> float:
    """The verdict as a number."""
    return float(bool(trajectory.metadata.get(CORRECT)))


def correctness(trajectories: Sequence[Trajectory]) -> dict[str, list[float]]:
    """1 or 0 per surviving sample, by question id."""
    return {name: [is_right(t) for t in found] for name, found in by_question(trajectories).items()}


def sizes(samples: int) -> list[int]:
    """The k of pass@k and maj@k: powers of two up to the number of samples, and that number."""
    return sorted({*(k for k in _KS if k <= samples), samples})


def whole(values: Mapping[str, Sequence[float]], samples: int) -> dict[str, Sequence[float]]:
    """Questions none of whose samples was lost."""
    return {name: found for name, found in values.items() if len(found) == samples}


def pass_at_ks(values: Mapping[str, Sequence[float]], samples: int) -> dict[str, Estimate]:
    """pass@k by k, over whole questions."""
    full = whole(values, samples)
    return {
        str(k): share({name: [pass_at_k(samples, int(sum(v)), k)] for name, v in full.items()})
        for k in (sizes(samples) if full else [])
    }


def majority_at_ks(
    questions: Mapping[str, Question], grouped: Grouped, samples: int, scorer: str
) -> dict[str, Estimate]:
    """maj@k by k from 2 on, over whole questions; empty where answers are none that could be compared."""
    full = {name: found for name, found in grouped.items() if len(found) == samples}
    if samples < 2 or not any(questions[name].answers for name in full if name in questions):
        return {}
    votes = {name: _votes(questions[name], found, scorer) for name, found in full.items() if name in questions}
    return {
        str(k): share({name: [majority_at_k(v, [is_right(t) for t in full[name]], k)] for name, v in votes.items()})
        for k in sizes(samples)
        if k > 1
    }


def _votes(question: Question, samples: Sequence[Trajectory], scorer: str) -> list[int | None]:
    """Classes of equivalent answers. Right ones agree; so the judge is asked only where that leaves the vote open."""
    answers = [final_answer(t) for t in samples]
    right = [bool(is_right(t)) for t in samples]
    equal = _equality(question, samples, answers, scorer) if any(right) and not all(right) else None

    def same(a: int, b: int) -> bool:
        if right[a] or right[b]:
            return right[a] and right[b]
        return equal is not None and equal(a, b)

    return classes(answers, same)


def _equality(
    question: Question, samples: Sequence[Trajectory], answers: Sequence[str | None], scorer: str
) -> Callable[[int, int], bool]:
    score = SCORERS.get(scorer).score

    def equal(a: int, b: int) -> bool:
        other = question.model_copy(update={"answers": (answers[b] or "",)})
        return score(other, samples[a]).correct

    return equal


def measures(grouped: Grouped) -> dict[str, Estimate]:
    """Means of what the scorer said beside its verdict. A measure that a sample lacks counts as 0 there."""
    said = {name: [_values(t) for t in found] for name, found in grouped.items()}
    names = sorted({key for found in said.values() for values in found for key in values})
    found = {}
    for key in names:
        values = {name: [float(v.get(key, 0.0)) for v in samples] for name, samples in said.items()}
        if all(0 <= value <= 1 for row in values.values() for value in row):
            found[key] = share(values)
    return found


def _values(trajectory: Trajectory) -> dict[str, float]:
    return (trajectory.metadata.get(VERDICT) or {}).get("values") or {}


def category_of(question: Question) -> str:
    """The name under which its accuracy is broken down."""
    return question.category or question.metadata.get("kind") or question.data_source


def by_category(questions: Sequence[Question], values: Mapping[str, Sequence[float]]) -> dict[str, Estimate]:
    """Accuracy by category."""
    groups: dict[str, dict[str, Sequence[float]]] = defaultdict(dict)
    for question in questions:
        if question.id in values:
            groups[category_of(question)][question.id] = values[question.id]
    return {name: share(groups[name]) for name in sorted(groups)}
