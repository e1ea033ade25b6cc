"""Where answers come from: an index here, a distributed engine, or other retrievers that hold parts of the corpus."""

from mentor_retriever.backends.base import Backend, Found, Hit

__all__ = ["Backend", "Found", "Hit"]
