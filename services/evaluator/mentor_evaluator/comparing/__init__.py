"""Runs beside each other: two of them question by question (``compare``), many of them by rank (``leaderboard``)."""

from mentor_evaluator.comparing.compare import compare_runs
from mentor_evaluator.comparing.leaderboard import leaderboard
from mentor_evaluator.comparing.models import Comparison, Leaderboard

__all__ = ["Comparison", "Leaderboard", "compare_runs", "leaderboard"]
