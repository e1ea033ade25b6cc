"""bamboogle: two-hop questions that search engines miss."""

from __future__ import annotations

from mentor_evaluator.datasets.placed import SEARCH, PlacedSuite

PLUGIN = PlacedSuite(
    name="bamboogle", summary="two-hop questions that search engines miss",
    size=125, groups=("paper-qa", "paper", "qa"), split="test",
    scorer="qa_response", tools=SEARCH, ability="qa",
)  # fmt: skip
