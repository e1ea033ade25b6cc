"""aime25: American Invitational Mathematics Examination 2025."""

from __future__ import annotations

from mentor_evaluator.datasets.placed import PlacedSuite

PLUGIN = PlacedSuite(
    name="aime25",
    summary="American Invitational Mathematics Examination 2025",
    size=30,
    groups=("paper-math", "paper", "math"),
)
