"""Evaluations: models times suites times arms (with and without tools, thinking on and off) as one job with one result."""
