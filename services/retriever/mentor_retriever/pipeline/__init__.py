"""What turns many callers' queries into few batches: micro-batching, single-flight, a cache, bounded admission."""

from mentor_retriever.pipeline.batcher import MicroBatcher
from mentor_retriever.pipeline.cache import RankingCache
from mentor_retriever.pipeline.gate import QueryGate

__all__ = ["MicroBatcher", "QueryGate", "RankingCache"]
