"""gsm8k: grade-school word problems."""

from __future__ import annotations

from mentor_evaluator.datasets.placed import PlacedSuite

PLUGIN = PlacedSuite(name="gsm8k", summary="grade-school word problems", size=1319, groups=("math",))
