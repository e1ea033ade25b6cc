"""olympiadbench: open-ended English mathematics of OlympiadBench."""

from __future__ import annotations

from mentor_evaluator.datasets.placed import PlacedSuite

PLUGIN = PlacedSuite(
    name="olympiadbench",
    summary="open-ended English mathematics of OlympiadBench",
    size=674,
    groups=("math",),
    category="subfield",
)
