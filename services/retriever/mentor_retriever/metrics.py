"""What the retriever counts."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from mentor.serving.admission import Admission

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
ENDPOINTS = ("search", "batch_search", "retrieve")


class RetrieverMetrics:
    """Queries by endpoint (REST and gRPC alike), search time, what waits, what was refused, the corpus's size."""

    def __init__(self, registry: CollectorRegistry, admission: Admission) -> None:
        self.queries = Counter("mentor_retriever_queries_total", "Queries answered.", ("endpoint",), registry=registry)
        for endpoint in ENDPOINTS:
            self.queries.labels(endpoint)
        self.seconds = Histogram(
            "mentor_retriever_search_duration_seconds",
            "Time in encoder and index per request, waiting excluded.",
            buckets=_BUCKETS,
            registry=registry,
        )
        self.refused = Counter("mentor_retriever_refused_total", "Requests refused by a full queue.", registry=registry)
        self.documents = Gauge("mentor_retriever_documents", "Documents in the corpus.", registry=registry)
        queue = Gauge("mentor_retriever_queue_depth", "Requests waiting.", registry=registry)
        queue.set_function(lambda: admission.waiting)
        running = Gauge("mentor_retriever_requests_in_flight", "Requests being searched.", registry=registry)
        running.set_function(lambda: admission.running)
