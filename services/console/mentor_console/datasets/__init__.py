"""Data sets as teacher jobs commit them: statistics, provenance, and what filters dropped."""
