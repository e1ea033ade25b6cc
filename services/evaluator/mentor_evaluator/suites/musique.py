"""musique: two- to four-hop questions."""

from __future__ import annotations

from mentor_evaluator.datasets.placed import SEARCH, PlacedSuite

PLUGIN = PlacedSuite(
    name="musique", summary="two- to four-hop questions", size=2417, groups=("qa",), split="dev",
    scorer="qa_response", tools=SEARCH, ability="qa",
)  # fmt: skip
