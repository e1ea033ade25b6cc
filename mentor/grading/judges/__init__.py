"""Judges: one file each. A judge compares the answer of a trajectory with the answers that are accepted.

Users' own come by the entry points of ``mentor.judges``; ``judge: NAME`` in any spec takes them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Protocol

from pydantic import AfterValidator

from mentor.grading.verdict import Verdict
from mentor.plugins import Plugin, Registry


class AnswerJudge(Plugin, Protocol):
    """Compares answers. It is called from several threads at once and bounds its own time and memory."""

    def grade(self, prediction: str | None, golds: Sequence[str]) -> Verdict:
        """The verdict on one answer. None is no answer at all.

        Raises:
            InfrastructureError: the judge itself cannot work now.
        """
        ...


JUDGES: Registry[AnswerJudge] = Registry("judge", "mentor.grading.judges", AnswerJudge)

JudgeName = Annotated[str, AfterValidator(JUDGES.check)]
"""Type of a spec's field that names a judge."""
