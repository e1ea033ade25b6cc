"""Verdicts as a table."""

from __future__ import annotations

from collections.abc import Sequence

from mentor.experiment.findings.cells import number, p_value, signed
from mentor.experiment.findings.measures import MEASURES
from mentor.experiment.findings.verdicts import Verdict
from mentor.experiment.spec import Claim
from mentor.tabular import Table

HEADER = (
    "claim", "verdict", "because", "difference", "p", "p after Holm", "margin", "detectable (alone; first of the family)",
    "of", "would be overturned by",
)  # fmt: skip
NOTE = (
    "Shares in points. Difference: left minus right, 95% over seeds and questions together, paired; `*`: p < 0.05 before "
    "correction. Holm's correction is over the confirmatory claims. Detectable: the true difference that this size finds "
    "four times in five."
)


def scale_of(claim: Claim) -> float:
    """From the metric's unit to what is shown: the alignment score as it is, other shares in points."""
    return 100.0 if claim.metric in MEASURES and MEASURES[claim.metric].share else 1.0


def compared(claim: Claim) -> str:
    """What a claim holds against what, in symbols."""
    sign = ">" if claim.direction == "more" else "<"
    value = "" if claim.value is None else f"{scale_of(claim) * claim.value:g}"
    return f"{claim.metric}: {claim.left} {sign} {claim.right or value}"


def table(found: Sequence[Verdict]) -> Table:
    """One row a claim."""
    return Table("Verdicts", HEADER, tuple(map(row, found)), words=3, note=NOTE)


def row(found: Verdict) -> tuple[str, ...]:
    """A claim's cells."""
    claim, scale = found.claim, scale_of(found.claim)
    digits = 1 if scale == 100 else 3
    detectable = [
        number(None if value is None else scale * value, digits) for value in (found.detectable, found.detectable_first)
    ]
    return (
        f"{claim.name}: {claim.says} ({compared(claim)})", found.verdict, found.because,
        signed(found.found, scale, digits), p_value(found.found.p if found.found else None), p_value(found.p_adjusted)
        if claim.confirmatory else "exploratory", number(scale * claim.margin, digits), "; ".join(detectable),
        "; ".join(found.notes), claim.overturned_by,
    )  # fmt: skip
