"""omni-math-512: 512 olympiad problems."""

from __future__ import annotations

from mentor_evaluator.datasets.placed import PlacedSuite

PLUGIN = PlacedSuite(
    name="omni-math-512",
    summary="512 olympiad problems",
    size=512,
    groups=("paper-math", "paper", "math"),
    category="domain",
)
