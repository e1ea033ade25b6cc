"""Statistics of trajectories: alignment score, tool usage, intervals."""

from mentor.analysis.alignment import (
    AlignmentScore,
    CallsByQuestion,
    alignment,
    alignment_of_totals,
    calls_by_question,
    tool_counts,
)
from mentor.analysis.intervals import Estimate, cluster_bootstrap, paired_difference
from mentor.analysis.pass_at_k import pass_at_k
from mentor.analysis.usage import ToolUsage, executed_by_backend, tool_usage

__all__ = [
    "AlignmentScore",
    "CallsByQuestion",
    "Estimate",
    "ToolUsage",
    "alignment",
    "alignment_of_totals",
    "calls_by_question",
    "cluster_bootstrap",
    "executed_by_backend",
    "paired_difference",
    "pass_at_k",
    "tool_counts",
    "tool_usage",
]
