"""Indexes: ways to find the rows of a corpus that answer a query."""

from mentor_retriever.index.base import Index, Ranking
from mentor_retriever.index.factory import open_index

__all__ = ["Index", "Ranking", "open_index"]
