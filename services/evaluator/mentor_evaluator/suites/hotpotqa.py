"""hotpotqa: multi-hop questions over Wikipedia."""

from __future__ import annotations

from mentor_evaluator.datasets.placed import SEARCH, PlacedSuite

PLUGIN = PlacedSuite(
    name="hotpotqa", summary="multi-hop questions over Wikipedia",
    size=7405, groups=("paper-qa", "paper", "qa"), split="dev",
    scorer="qa_response", tools=SEARCH, ability="qa",
)  # fmt: skip
