"""What the records say of each claim.

Let d be the difference in the claimed direction (left - right for ``more``, right - left for ``less``; or the left side and
a value), [l, u] its 95% interval over seeds and questions, p its two-sided p-value, adjusted by Holm over all confirmatory
claims of the grid file (those that cannot be tested yet count as p = 1), and m the margin. In this order:

1. p < 0.05 and d > 0: **holds** where d >= m; **holds, smaller than what matters** where d < m.
2. p < 0.05 and d < 0: **does not hold**, the contrary does.
3. u < m: **does not hold**, an effect that matters is excluded. By the interval as it is: Holm guards what is claimed to be
   there. With m = 0 this does not apply, since then the smallest effect would matter.
4. else **cannot be told at this size**.

A way of training of which fewer than two seeds were run can be told nothing of (4), whatever its models do; nor one that
was not run, of which the verdict says **not run**. Exploratory claims are judged by their own p and say so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from mentor.analysis.crossed import CrossedDifference, CrossedEstimate, against_value
from mentor.analysis.scatter import Scatter
from mentor.analysis.significance import holm
from mentor.experiment.findings.aligned import alignment_gap, alignment_of
from mentor.experiment.findings.measures import MEASURES, difference, estimate
from mentor.experiment.findings.results import Results, Where
from mentor.experiment.spec import Claim
from mentor.trajectory import Frozen

LEVEL, POWER = 0.05, 0.8
Word = Literal[
    "holds", "holds, smaller than what matters", "does not hold", "cannot be told at this size", "not run"
]  # fmt: skip


class Verdict(Frozen):
    """A claim with what was found.

    ``found``: left minus right (or minus the value), as it was measured; ``signed``: the same in the claimed direction, with
    its interval. ``p_adjusted``: Holm's over confirmatory claims, the p itself for the others. ``detectable``: the least
    true difference that this size finds four times in five by itself; ``detectable_first``: if its p is the smallest of the
    family, which Holm tests at 0.05 over their number. ``because``: the rule that decided. ``notes``: what to bear in mind.
    """

    claim: Claim
    verdict: Word
    because: str
    found: CrossedDifference | None = None
    signed: tuple[float, float, float] | None = None
    p_adjusted: float | None = None
    detectable: float | None = None
    detectable_first: float | None = None
    notes: tuple[str, ...] = ()


def verdicts(results: Results) -> list[Verdict]:
    """One for every claim, in the grid file's order."""
    found = {claim.name: measured(results, claim) for claim in results.spec.claims}
    adjusted = adjusted_p(results.spec.claims, found)
    family = sum(claim.confirmatory for claim in results.spec.claims)
    return [
        judged(results, claim, found[claim.name], adjusted[claim.name], family if claim.confirmatory else 1)
        for claim in results.spec.claims
    ]


def where_of(results: Results, claim: Claim) -> Where:
    """The part of the grid that a claim is of."""
    return Where(
        claim.worlds or tuple(results.spec.worlds), claim.students or tuple(results.spec.students), claim.sets
    )  # fmt: skip


def measured(results: Results, claim: Claim) -> CrossedDifference | None:
    """The claim's difference; None where a side was not run."""
    where = where_of(results, claim)
    if claim.right is not None:
        if claim.metric == "alignment_score":
            return alignment_gap(results, claim.left, claim.right, where)
        return difference(results, claim.metric, claim.left, claim.right, where)
    assert claim.value is not None
    alone = _alone(results, claim, where)
    if alone is None:
        return None
    return against_value(alone, claim.value, share=claim.metric in MEASURES and MEASURES[claim.metric].share)


def adjusted_p(claims: Sequence[Claim], found: Mapping[str, CrossedDifference | None]) -> dict[str, float]:
    """By claim: Holm's over confirmatory ones, a missing one counting as p = 1; the p itself for the others."""
    p = {name: 1.0 if one is None else one.p for name, one in found.items()}
    return p | holm({claim.name: p[claim.name] for claim in claims if claim.confirmatory})


def judged(results: Results, claim: Claim, found: CrossedDifference | None, p: float, family: int) -> Verdict:
    """Apply the rules."""
    if found is None:
        return Verdict(claim=claim, verdict="not run", because=_absent(results, claim))
    sign = 1.0 if claim.direction == "more" else -1.0
    low, high = sorted((sign * found.low, sign * found.high))
    trained = any(results.is_trained(side) for side in (claim.left, claim.right or claim.left))
    word, because = decide(sign * found.mean, high, p, claim.margin)
    if found.seeds < 2 and trained:
        word, because = "cannot be told at this size", "one seed: its interval is over questions alone"
    return Verdict(
        claim=claim, verdict=word, because=because, found=found, signed=(sign * found.mean, low, high), p_adjusted=p,
        detectable=found.detectable(POWER, LEVEL), detectable_first=found.detectable(POWER, LEVEL / max(1, family)),
        notes=tuple(_notes(results, claim, found)),
    )  # fmt: skip


def decide(signed: float, high: float, p: float, margin: float) -> tuple[Word, str]:
    """The verdict and the rule; ``high`` is the upper end of the difference in the claimed direction."""
    if p < LEVEL and signed > 0:
        if signed >= margin:
            return "holds", "the interval leaves out 0 and the difference is at least the margin"
        sure = "which the interval leaves out" if high < margin else "which the interval does not leave out"
        return "holds, smaller than what matters", f"the difference is below the margin, {sure}"
    if p < LEVEL and signed < 0:
        return "does not hold", "the contrary does: the difference has the other sign"
    if margin > 0 and high < margin:
        return "does not hold", "an effect as large as the margin is excluded by the interval"
    return "cannot be told at this size", "the interval has room for nothing and for what matters"


def _alone(results: Results, claim: Claim, where: Where) -> CrossedEstimate | None:
    if claim.metric != "alignment_score":
        return estimate(results, claim.metric, claim.left, where)
    score = alignment_of(results, claim.left, where)
    if score is None:
        return None
    low, high = score.interval
    questions = score.questions or 1
    error = ((high - low) / 2 / 1.959963984540054) ** 2
    scatter = Scatter(seeds=0.0, questions=error, apart=error, freedom=(0, max(1, questions - 1)))
    return CrossedEstimate(
        mean=score.alignment_score, low=low, high=high, n=score.student_calls, clusters=questions, seeds=score.seeds,
        scatter=scatter,
    )  # fmt: skip


def _absent(results: Results, claim: Claim) -> str:
    where = where_of(results, claim)
    lacking = [
        side
        for side in (claim.left, claim.right)
        if side and not any(results.seeds(w, s, side) for w in where.worlds for s in where.students)
    ]
    return f"no run of {', '.join(lacking)}" if lacking else "the two sides share no question of a seed"


def _notes(results: Results, claim: Claim, found: CrossedDifference) -> list[str]:
    notes = [f"{found.seeds} seed{'s' * (found.seeds > 1)} x {found.clusters} questions"]
    if not claim.confirmatory:
        notes.append("exploratory: not corrected for the others")
    where = where_of(results, claim)
    sides = [side for side in (claim.left, claim.right) if side]
    missing = [r for r in results.missing if r.method in sides and r.world in where.worlds]
    if missing:
        notes.append(f"{len(missing)} runs of the grid are missing")
    return notes
