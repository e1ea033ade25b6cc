"""svamp: word problems with varied structure."""

from __future__ import annotations

from mentor_evaluator.datasets.placed import PlacedSuite

PLUGIN = PlacedSuite(
    name="svamp", summary="word problems with varied structure", size=1000, groups=("math",), category="Type"
)
