"""The service in front of a kind of jobs: teacher, trainer and evaluator are this, with a handler of their own."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import redis
from fastapi import APIRouter
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from mentor.errors import InfrastructureError, NotFoundError
from mentor.jobs.api import jobs_router
from mentor.jobs.artifacts import ArtifactStore
from mentor.jobs.capacity import Capacity
from mentor.jobs.celery_app import Publisher
from mentor.jobs.counters import CounterCollector
from mentor.jobs.files_api import files_router
from mentor.jobs.handler import JobHandler
from mentor.jobs.kinds_api import kinds_router
from mentor.jobs.manager import JobManager
from mentor.jobs.model import Job, JobState
from mentor.jobs.reaper import Reaper
from mentor.jobs.servicer import JobsServicer
from mentor.jobs.settings import JobSettings
from mentor.jobs.store import JobStore
from mentor.rpc.principal import Role
from mentor.rpc.v1.jobs_pb2_grpc import add_JobsServiceServicer_to_server
from mentor.serving import RestBinding, RpcBinding, Service, ServiceSettings


def build_manager(handlers: Sequence[JobHandler], settings: JobSettings | None = None) -> JobManager:
    """A manager on the stack's Redis and store."""
    settings = settings or JobSettings()
    store = JobStore(settings.redis_url, prefix=settings.prefix, lease_s=settings.lease_s)
    kinds = {handler.kind: handler for handler in handlers}
    return JobManager(store, Publisher(settings), ArtifactStore(settings.store), kinds, Capacity(store, settings))


def build_job_service(
    name: str,
    settings: ServiceSettings,
    handlers: Sequence[JobHandler],
    job_settings: JobSettings | None = None,
    further: Callable[[JobManager], tuple[list[APIRouter], list[RpcBinding]]] | None = None,
) -> Service:
    """A service that takes jobs of its handlers' kinds over REST and gRPC.

    ``further``: routes and RPCs of its own on top of its jobs.

    Raises:
        UserError: the store cannot be written, or the Redis URL is malformed.
    """
    job_settings = job_settings or JobSettings()
    manager = build_manager(handlers, job_settings)

    @asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        reaper = Reaper(job_settings, manager.store, manager.publisher, manager.files)
        reaper.start(service.vitals)
        yield
        reaper.stop()

    # Readiness is asked on the event loop: this client neither waits nor tries again.
    pinger = redis.Redis.from_url(job_settings.redis_url, socket_timeout=0.5, socket_connect_timeout=0.5)

    def redis_answers() -> str | None:
        try:
            pinger.ping()
        except redis.RedisError as error:
            return f"Redis: {error}"
        return None

    own_routers, own_rpcs = further(manager) if further else ([], [])
    files = files_router(manager.files, settings.max_upload_bytes)
    routers = (jobs_router(manager), kinds_router(manager), files, *own_routers)
    jobs = RpcBinding(
        add_JobsServiceServicer_to_server, JobsServicer(manager), "mentor.rpc.v1.JobsService", Role.SUBMIT
    )
    service = Service(
        name=name,
        settings=settings,
        routers=[RestBinding(router, Role.SUBMIT) for router in routers],
        rpcs=[jobs, *own_rpcs],
        lifespan=lifespan,
        checks={"redis": redis_answers},
    )
    service.registry.register(JobCollector(manager))
    service.registry.register(CounterCollector(manager.store, manager.handlers))
    return service


_SHOWN_RESULTS = 20


def figures_of(result: dict[str, Any], prefix: str = "") -> dict[str, float]:
    """Numbers of a result by dotted name, two levels deep: ``accuracy.mean``, ``usage.invalid_rate``."""
    found: dict[str, float] = {}
    for name, value in result.items():
        if isinstance(value, bool) or value is None:
            continue
        if isinstance(value, int | float):
            found[f"{prefix}{name}"] = float(value)
        elif isinstance(value, dict) and not prefix:
            found |= figures_of(value, f"{name}.")
    return found


class JobCollector(Collector):
    """Gauges read from Redis at each scrape: what any replica of the service exports is the same."""

    def __init__(self, manager: JobManager) -> None:
        self._manager = manager

    def describe(self) -> Iterable[Metric]:
        """Nothing is read at registration: Redis may not be up yet."""
        return [GaugeMetricFamily("mentor_jobs", "Jobs by kind and state", labels=["kind", "state"])]

    def collect(self) -> Iterable[Metric]:
        jobs = GaugeMetricFamily("mentor_jobs", "Unfinished jobs by kind and state", labels=["kind", "state"])
        progress = GaugeMetricFamily("mentor_job_progress", "Done share of running jobs", labels=["kind", "job_id"])
        figures = GaugeMetricFamily(
            "mentor_job_metric", "Latest figure that a running job reported", labels=["kind", "job_id", "name"]
        )
        counts = {(kind, state): 0 for kind in self._manager.handlers for state in ("queued", "running")}
        for job in self._unfinished():
            counts[(job.kind, str(job.state))] = counts.get((job.kind, str(job.state)), 0) + 1
            if job.state == "running":
                progress.add_metric([job.kind, job.id], job.progress)
                for name, value in job.metrics.items():
                    if isinstance(value, int | float):
                        figures.add_metric([job.kind, job.id, name], float(value))
        for labels, count in counts.items():
            jobs.add_metric(list(labels), count)
        return [jobs, progress, figures, self._results(), *self._disk()]

    def _disk(self) -> list[GaugeMetricFamily]:
        """Of the shared store, or of the local scratch where the store is remote."""
        usage = shutil.disk_usage(self._manager.files.local)
        free = GaugeMetricFamily("mentor_store_free_bytes", "Free bytes of the store's disk", value=usage.free)
        return [free, GaugeMetricFamily("mentor_store_bytes", "Size of the store's disk", value=usage.total)]

    def _results(self) -> GaugeMetricFamily:
        """Figures of the newest finished jobs: what a dashboard compares models by."""
        family = GaugeMetricFamily(
            "mentor_job_result", "Figure in a finished job's result", labels=["kind", "job_id", "model", "name"]
        )
        try:
            finished = self._manager.newest(None, str(JobState.SUCCEEDED), _SHOWN_RESULTS)
        except InfrastructureError:
            return family
        for job in finished:
            model = str((job.result or {}).get("model", ""))
            for name, value in figures_of(job.result or {}).items():
                family.add_metric([job.kind, job.id, model, name], value)
        return family

    def _unfinished(self) -> list[Job]:
        found: list[Job] = []
        try:
            for job_id in self._manager.store.unfinished():
                with contextlib.suppress(NotFoundError):  # it has ended, and been forgotten, between the two reads
                    found.append(self._manager.store.get(job_id))
        except InfrastructureError:
            return []
        return [job for job in found if job.kind in self._manager.handlers]
