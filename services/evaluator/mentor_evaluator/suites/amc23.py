"""amc23: American Mathematics Competitions 2023."""

from __future__ import annotations

from mentor_evaluator.datasets.placed import PlacedSuite

PLUGIN = PlacedSuite(
    name="amc23", summary="American Mathematics Competitions 2023", size=40, groups=("paper-math", "paper", "math")
)
