"""Exact match after FlashRAG's normalisation."""

from __future__ import annotations

from collections.abc import Sequence

from mentor.grading.qa import verdict_by
from mentor.grading.verdict import Verdict


class _ExactMatch:
    name = "qa_em"
    summary = "exact match with one of the golden answers, after FlashRAG's normalisation"

    def grade(self, prediction: str | None, golds: Sequence[str]) -> Verdict:
        return verdict_by("em", prediction, golds)


PLUGIN = _ExactMatch()
