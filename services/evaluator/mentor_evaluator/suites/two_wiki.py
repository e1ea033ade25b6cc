"""2wikimultihopqa: multi-hop questions over two articles."""

from __future__ import annotations

from mentor_evaluator.datasets.placed import SEARCH, PlacedSuite

PLUGIN = PlacedSuite(
    name="2wikimultihopqa", summary="multi-hop questions over two articles",
    size=12576, groups=("paper-qa", "paper", "qa"), split="dev",
    scorer="qa_response", tools=SEARCH, ability="qa",
)  # fmt: skip
