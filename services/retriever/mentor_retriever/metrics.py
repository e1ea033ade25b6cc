"""What the retriever counts."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from mentor_retriever.pipeline.batcher import BatchRecord

_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
ENDPOINTS = ("search", "batch_search", "retrieve")
STAGES = ("encode", "search", "words", "rerank", "fetch", "remote")
OUTCOMES = ("hit", "miss", "joined")


class RetrieverMetrics:
    """Queries by endpoint (REST and gRPC alike), time by stage, batch sizes, the cache, what waits, what was refused.

    Args:
        waiting, inside: queries that no worker has taken, and requests being answered, at any time.
    """

    def __init__(self, registry: CollectorRegistry, waiting: Callable[[], int], inside: Callable[[], int]) -> None:
        self.queries = Counter("mentor_retriever_queries_total", "Queries answered.", ("endpoint",), registry=registry)
        for endpoint in ENDPOINTS:
            self.queries.labels(endpoint)
        self.seconds = Histogram(
            "mentor_retriever_search_duration_seconds",
            "From a request's admission to its answer.",
            buckets=_SECONDS,
            registry=registry,
        )
        self.stage_seconds = Histogram(
            "mentor_retriever_stage_duration_seconds",
            "Time of one batch in a stage, waiting excluded.",
            ("stage",),
            buckets=_SECONDS,
            registry=registry,
        )
        self.batch_sizes = Histogram(
            "mentor_retriever_batch_size", "Queries in one batch.", ("stage",), buckets=_SIZES, registry=registry
        )
        for stage in STAGES:
            self.stage_seconds.labels(stage)
            self.batch_sizes.labels(stage)
        self.cache = Counter(
            "mentor_retriever_cache_requests_total",
            "Queries by what the cache had: the ranking, nothing, or the same query under way.",
            ("outcome",),
            registry=registry,
        )
        for outcome in OUTCOMES:
            self.cache.labels(outcome)
        self.refused = Counter("mentor_retriever_refused_total", "Requests refused by a full queue.", registry=registry)
        self.partial = Counter(
            "mentor_retriever_partial_total", "Queries answered without some shard.", registry=registry
        )
        self.documents = Gauge("mentor_retriever_documents", "Documents in the corpus.", registry=registry)
        self.generation = Gauge(
            "mentor_retriever_index_generation", "Number of the index that answers; a swap adds one.", registry=registry
        )
        queue = Gauge("mentor_retriever_queue_depth", "Queries that no worker has taken yet.", registry=registry)
        queue.set_function(waiting)
        running = Gauge("mentor_retriever_requests_in_flight", "Requests being answered.", registry=registry)
        running.set_function(inside)

    def ran(self, batch: BatchRecord) -> None:
        """Count one batch. Safe from any thread."""
        self.stage_seconds.labels(batch.stage).observe(batch.seconds)
        self.batch_sizes.labels(batch.stage).observe(batch.size)
