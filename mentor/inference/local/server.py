"""The local model server: a service like the others, whose REST side is OpenAI's interface."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from mentor.inference.local.backend import Backend
from mentor.inference.local.chat_endpoint import chat_router
from mentor.inference.local.completion_endpoint import completion_router
from mentor.inference.local.engine import LocalEngine
from mentor.inference.local.settings import ModelServerSettings
from mentor.inference.local.token_endpoints import token_router
from mentor.inference.local.weights import load_tokenizer
from mentor.rpc.principal import Role
from mentor.serving.service import RestBinding, Service


class EngineCollector(Collector):
    """The engine's figures, read when Prometheus asks."""

    def __init__(self, engine: LocalEngine) -> None:
        self._engine = engine

    def collect(self) -> Iterator[Metric]:
        """Gauges of this moment and totals since the start."""
        stats = self._engine.stats()
        for name, text, value in (
            ("running", "Sequences being decoded.", stats.running),
            ("waiting", "Sequences waiting for a row.", stats.waiting),
        ):
            yield GaugeMetricFamily(f"mentor_model_sequences_{name}", text, value)
        for name, text, value in (
            ("sequences", "Sequences accepted.", stats.requests),
            ("prompt_tokens", "Prompt tokens accepted.", stats.prompt_tokens),
            ("reused_tokens", "Prompt tokens taken over from sequences that began alike.", stats.reused_tokens),
            ("generated_tokens", "Tokens of finished sequences.", stats.generated_tokens),
            ("decode_steps", "Decoding steps.", stats.steps),
        ):
            yield CounterMetricFamily(f"mentor_model_{name}", text, value)


def build(settings: ModelServerSettings) -> Service:
    """Load the model and bind its endpoints.

    Raises:
        UserError: the model or its tokenizer cannot be loaded.
    """
    tokenizer = load_tokenizer(settings.model)
    engine = LocalEngine(
        settings.model,
        max_batch=settings.max_batch,
        max_queue=settings.max_queue,
        threads=settings.threads,
        seed=settings.seed,
        device=settings.device,
        prefix_cache_mb=settings.prefix_cache_mb,
    )
    backend = Backend(engine, tokenizer, settings.name, settings.request_timeout_s)

    @asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        try:
            yield
        finally:
            await engine.close()

    service = Service(
        name="model",
        settings=settings,
        routers=[RestBinding(make(backend), Role.RUN) for make in (chat_router, completion_router, token_router)],
        lifespan=lifespan,
        health=lambda: {"model": settings.name},
    )
    service.vitals.watch("engine", engine.ails)
    service.registry.register(EngineCollector(engine))
    return service
