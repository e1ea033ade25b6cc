"""From trajectories to references: which of the teacher's solutions the student is compared with."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from mentor.data.fates import FATE, KEPT, LOST, SURPLUS, WHY, fate, stayed
from mentor.rollout.solve import CORRECT
from mentor.trajectory import Frozen, Question, Trajectory
from mentor_teacher.filters import FILTERS, Candidate, FilterUse, QuestionFilter, Why, run_filter
from mentor_teacher.keeping import VERIFICATION, parse_uses
from mentor_teacher.selections import SELECTIONS

PASS_RATE = "pass_rate"
"""Key in ``Question.metadata``: the share of the teacher's samples that were right. Easy questions are near 1."""
SAMPLES = "samples"
"""Key beside it: of how many."""
AGREED = "answer_by_agreement"
"""Key of the share of samples that gave the answer, where they were the only ground truth."""


class Step(Frozen):
    """One filter's work: how many it saw, and how many it dropped."""

    filter: str
    saw: int
    dropped: int


class Screened(Frozen):
    """Questions that are drawn, those that filters of questions dropped (with the filter and why), and how many each
    dropped.
    """

    questions: tuple[Question, ...]
    dropped: tuple[tuple[Question, str, str], ...] = ()
    steps: tuple[Step, ...] = ()


class Selected(Frozen):
    """Questions that got at least one reference, and what became of every trajectory.

    ``trajectories``: all, each with its fate in the metadata. ``dropped``: by filter. ``surplus``: right, and more than
    were asked for. ``lost``: to infrastructure.
    """

    questions: tuple[Question, ...]
    trajectories: tuple[Trajectory, ...]
    kept: int
    surplus: int
    lost: int
    dropped: dict[str, int]
    steps: tuple[Step, ...]


def after_screening(filters: Sequence[FilterUse]) -> tuple[FilterUse, ...]:
    """The filters that ``screen`` leaves to ``select``."""
    return tuple(use for use in filters if not isinstance(FILTERS.get(use.name), QuestionFilter))


def screen(questions: Sequence[Question], filters: Sequence[FilterUse]) -> Screened:
    """Run the filters that look at questions alone: nothing is drawn for what they drop."""
    left, gone, steps = list(questions), [], []
    for use in filters:
        plugin: Any = FILTERS.get(use.name)
        if isinstance(plugin, QuestionFilter):
            said = plugin.drops_questions(left, use)
            gone += [(question, use.name, why) for question, why in zip(left, said, strict=True) if why is not None]
            steps.append(Step(filter=use.name, saw=len(left), dropped=sum(why is not None for why in said)))
            left = [question for question, why in zip(left, said, strict=True) if why is None]
    return Screened(questions=tuple(left), dropped=tuple(gone), steps=tuple(steps))


def select(
    questions: Sequence[Question],
    trajectories: Iterable[Trajectory],
    *,
    max_references: int,
    filters: Sequence[FilterUse | str] = (),
    selection: str = "fewest_calls",
    settled: bool = False,
) -> Selected:
    """Attach verified trajectories to their questions, in the order of ``selection``.

    A question without a ground truth gets the answer that its remaining samples agree on. ``settled``: filters have run
    on these before, and what they dropped stays dropped.
    """
    by_id = {question.id: question for question in questions}
    drawn = list(trajectories)
    fates: dict[int, tuple[str, Why]] = {n: (LOST, t.error) for n, t in enumerate(drawn) if t.failed}
    if settled:
        fates |= {n: (str(fate(t)), t.metadata.get(WHY)) for n, t in enumerate(drawn) if not stayed(t)}
    left = {n: Candidate(question=by_id[t.question_id], trajectory=t) for n, t in enumerate(drawn) if n not in fates}
    steps = [Step(filter=name, saw=len(drawn), dropped=n) for name, n in _counted(fates).items()]
    for use in (*parse_uses(VERIFICATION), *parse_uses(filters)):
        said = dict(zip(left, run_filter(use, list(left.values())), strict=True))
        gone = {n: (use.name, why) for n, why in said.items() if why is not None}
        steps.append(Step(filter=use.name, saw=len(left), dropped=len(gone)))
        fates |= gone
        left = {n: candidate for n, candidate in left.items() if n not in gone}
    chosen, kept = _attach(questions, left, max_references, selection)
    rates = _pass_rates(drawn)
    agreed = _agreed(drawn, left)
    chosen = [_measured(_answered(question, agreed), rates) for question in chosen]
    fates |= {n: (KEPT if n in kept else SURPLUS, None) for n in left}
    dropped: Counter[str] = Counter()
    for step in steps:
        dropped[step.filter] += step.dropped
    return Selected(
        questions=tuple(chosen),
        trajectories=tuple(_marked(t, fates[n], by_id[t.question_id]) for n, t in enumerate(drawn)),
        kept=len(kept), surplus=len(left) - len(kept), lost=sum(t.failed for t in drawn), dropped=dict(dropped),
        steps=tuple(steps),
    )  # fmt: skip


def _attach(
    questions: Sequence[Question], verified: dict[int, Candidate], max_references: int, selection: str
) -> tuple[list[Question], set[int]]:
    """Questions with references, and the numbers of the trajectories that became some."""
    right: dict[str, list[Trajectory]] = defaultdict(list)
    places = {id(candidate.trajectory): number for number, candidate in verified.items()}
    for candidate in verified.values():
        right[candidate.question.id].append(candidate.trajectory)
    plugin = SELECTIONS.get(selection)
    most = None if getattr(plugin, "unlimited", False) else max_references
    chosen, kept = [], set()
    for question in questions:
        if ranked := plugin.rank(right[question.id])[:most]:
            references = tuple(trajectory.reference() for trajectory in ranked)
            chosen.append(question.model_copy(update={"references": references}))
            kept |= {places[id(trajectory)] for trajectory in ranked}
    return chosen, kept


def _counted(fates: dict[int, tuple[str, Why]]) -> Counter[str]:
    """What filters had dropped before."""
    return Counter(name for name, _ in fates.values() if name != LOST)


def _pass_rates(drawn: Sequence[Trajectory]) -> dict[str, tuple[int, int]]:
    """Right ones and all, by question; what infrastructure lost is left out."""
    counts: dict[str, tuple[int, int]] = {}
    for t in drawn:
        if not t.failed:
            right, every = counts.get(t.question_id, (0, 0))
            counts[t.question_id] = (right + bool(t.metadata.get(CORRECT)), every + 1)
    return counts


def _agreed(drawn: Sequence[Trajectory], left: dict[int, Candidate]) -> dict[str, tuple[str, float]]:
    """For questions without a ground truth: the answer most often written among what stayed, and the share that gave one
    like it.
    """
    written: dict[str, Counter[str]] = defaultdict(Counter)
    for candidate in left.values():
        if not candidate.question.answers and candidate.trajectory.answer is not None:
            written[candidate.question.id][candidate.trajectory.answer] += 1
    every = Counter(t.question_id for t in drawn if not t.failed)
    return {name: (c.most_common(1)[0][0], c.total() / every[name]) for name, c in written.items()}


def _answered(question: Question, agreed: dict[str, tuple[str, float]]) -> Question:
    if question.answers or question.id not in agreed:
        return question
    answer, share = agreed[question.id]
    metadata = {**question.metadata, AGREED: round(share, 4)}
    return question.model_copy(update={"answers": (answer,), "metadata": metadata})


def _measured(question: Question, rates: dict[str, tuple[int, int]]) -> Question:
    """With its pass rate. Agreement among samples is no pass rate: it says how sure they are, not how right."""
    if AGREED in question.metadata or question.id not in rates:
        return question
    right, every = rates[question.id]
    metadata = {**question.metadata, PASS_RATE: round(right / every, 4), SAMPLES: every}
    return question.model_copy(update={"metadata": metadata})


def _marked(trajectory: Trajectory, fate: tuple[str, Why], question: Question) -> Trajectory:
    name, why = fate
    metadata = {**trajectory.metadata, FATE: name} | ({WHY: why} if why else {})
    if not question.answers and name in (KEPT, SURPLUS):
        metadata[CORRECT] = True  # the vote of the samples is the verdict
    return trajectory.model_copy(update={"metadata": metadata})
