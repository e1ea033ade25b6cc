"""Fuzzers of everything that parses what others send."""
