"""The passages: random access to a jsonl file that is never read into memory."""

from mentor_retriever.corpus.jsonl import Corpus, Document

__all__ = ["Corpus", "Document"]
