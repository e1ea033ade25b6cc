"""What a judge says of one answer."""

from __future__ import annotations

from pydantic import Field

from mentor.trajectory import Frozen


class Verdict(Frozen):
    """``reason``: why, in the judge's own fixed words (``equal``, ``different``, ``no_answer``, ``timeout``, ...).

    ``notes``: what made the verdict, where that can change: the model that was asked, the hash of its prompt.
    ``values``: measures beside the verdict, between 0 and 1, such as the F1 of a QA judge. ``seconds`` is wall time.
    """

    correct: bool
    reason: str
    values: dict[str, float] = Field(default_factory=dict)
    seconds: float = 0.0
    notes: dict[str, str] = Field(default_factory=dict)
