"""Text to vectors: encoders of queries and passages, and cross-encoders that re-rank. ``factory.open_encoder`` opens one."""

from mentor_retriever.encoders.base import Encoder, Vectors

__all__ = ["Encoder", "Vectors"]
