"""One of the golden answers stands in the answer, after FlashRAG's normalisation."""

from __future__ import annotations

from collections.abc import Sequence

from mentor.grading.qa import verdict_by
from mentor.grading.verdict import Verdict


class _SubstringMatch:
    name = "qa_sub_em"
    summary = "one of the golden answers stands in the answer, after FlashRAG's normalisation"

    def grade(self, prediction: str | None, golds: Sequence[str]) -> Verdict:
        return verdict_by("sub_em", prediction, golds)


PLUGIN = _SubstringMatch()
