"""Building indexes: streaming, resumable after a kill, sharded over devices."""

from mentor_retriever.build.builder import build_index
from mentor_retriever.build.plan import BuildPlan

__all__ = ["BuildPlan", "build_index"]
