"""aime24: American Invitational Mathematics Examination 2024."""

from __future__ import annotations

from mentor_evaluator.datasets.placed import PlacedSuite

PLUGIN = PlacedSuite(
    name="aime24",
    summary="American Invitational Mathematics Examination 2024",
    size=30,
    groups=("paper-math", "paper", "math"),
)
