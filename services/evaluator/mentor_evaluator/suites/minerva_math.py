"""minervamath: undergraduate quantitative problems."""

from __future__ import annotations

from mentor_evaluator.datasets.placed import PlacedSuite

PLUGIN = PlacedSuite(
    name="minervamath", summary="undergraduate quantitative problems", size=272, groups=("paper-math", "paper", "math")
)
