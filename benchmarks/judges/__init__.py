"""Judges on answers that the project has labelled itself: ``python -m benchmarks.judges --write docs/judges.md``."""
