"""Whole programs: a fork of a warm process each, with input, files in and out, and an exit code."""
