"""math-forge-hard: competition problems of higher difficulty."""

from __future__ import annotations

from mentor_evaluator.datasets.placed import PlacedSuite

PLUGIN = PlacedSuite(
    name="math-forge-hard",
    summary="competition problems of higher difficulty",
    size=500,
    groups=("paper-math", "paper", "math"),
)
