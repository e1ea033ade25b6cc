"""math-500: 500 problems of MATH."""

from __future__ import annotations

from mentor_evaluator.datasets.placed import PlacedSuite

PLUGIN = PlacedSuite(name="math-500", summary="500 problems of MATH", size=500, groups=("math",), category="subject")
