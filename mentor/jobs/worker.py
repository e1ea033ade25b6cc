"""A Celery worker of one service: ``python -m mentor.jobs.worker --name teacher --handler mentor_teacher.jobs:TeacherJob``.

Threads, not forked children: a forked pool may not start processes, and gRPC does not survive a fork. Each job is a
supervised process of its own; the thread that Celery gives a task only watches it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import structlog
from celery.signals import worker_shutting_down
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server

from mentor.errors import MentorError
from mentor.jobs.celery_app import TASK, celery_app, queue_name
from mentor.jobs.handler import load_handler
from mentor.jobs.reaper import Reaper
from mentor.jobs.settings import JobSettings
from mentor.jobs.supervisor import Supervisor
from mentor.rpc.context import TRACE_HEADER
from mentor.rpc.tracing import configure_tracing, server_span
from mentor.serving.logs import configure_logs
from mentor.serving.metrics import new_registry

log = structlog.get_logger("mentor.jobs")


_BUCKETS = (1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 4 * 3600.0, 24 * 3600.0)


class WorkerMetrics:
    """What a worker exports."""

    def __init__(self, registry: CollectorRegistry, kinds: Sequence[str]) -> None:
        self.attempts = Counter(
            "mentor_job_attempts_total", "Attempts that ended, by outcome", ["kind", "outcome"], registry=registry
        )
        self.seconds = Histogram(
            "mentor_job_attempt_duration_seconds",
            "Duration of attempts, waiting for GPUs included",
            ["kind"],
            buckets=_BUCKETS,
            registry=registry,
        )
        self.running = Gauge("mentor_jobs_running", "Jobs that this worker runs now", ["kind"], registry=registry)
        for kind in kinds:
            self.running.labels(kind).set(0)
            self.attempts.labels(kind, "succeeded")


def build_worker(settings: JobSettings, handler_paths: Sequence[str], registry: CollectorRegistry) -> tuple:  # type: ignore[type-arg]
    """The Celery app with its task, the supervisor behind it, and the queues it listens to."""
    handlers = {load_handler(path).kind: path for path in handler_paths}
    supervisor = Supervisor(settings, handlers)
    metrics = WorkerMetrics(registry, list(handlers))
    app = celery_app(settings)

    def run_job(job_id: str) -> None:
        job = supervisor.store.get(job_id)
        kind = job.kind
        with (
            server_span(f"attempt {kind}", {TRACE_HEADER: job.traceparent or ""}),
            metrics.running.labels(kind).track_inprogress(),
            metrics.seconds.labels(kind).time(),
        ):
            outcome = supervisor.run(job_id)
        metrics.attempts.labels(kind, outcome).inc()

    app.task(run_job, name=TASK)
    return app, supervisor, [queue_name(kind, settings.prefix) for kind in handlers]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="mentor.jobs.worker", description="Runs jobs of one service.")
    parser.add_argument("--name", required=True, help="of the worker, for logs and Celery")
    parser.add_argument("--handler", action="append", required=True, metavar="MODULE:CLASS")
    parser.add_argument("--concurrency", type=int, default=1, help="jobs at once")
    parser.add_argument("--metrics-host", default="127.0.0.1", help="address on which metrics are served")
    parser.add_argument("--metrics-port", type=int, default=None, help="without it none are served")
    options = parser.parse_args(arguments)
    configure_logs(f"{options.name}-worker")
    configure_tracing(f"{options.name}-worker")
    try:
        registry = new_registry()
        app, supervisor, queues = build_worker(JobSettings(), options.handler, registry)
        supervisor.store.ping()
        if options.metrics_port is not None:
            start_http_server(options.metrics_port, addr=options.metrics_host, registry=registry)
    except (MentorError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    reaper = Reaper(supervisor.settings, supervisor.store, supervisor.publisher, supervisor.files)
    reaper.start()
    _drain_on_shutdown(supervisor)
    flags = ["--pool=threads", f"--concurrency={options.concurrency}", f"--queues={','.join(queues)}"]
    flags += [f"--hostname={options.name}@%h", "--loglevel=warning", "--without-gossip", "--without-mingle"]
    app.worker_main(["worker", *flags])
    reaper.stop()
    return 0


def _drain_on_shutdown(supervisor: Supervisor) -> None:
    """SIGTERM: Celery waits for its tasks, whose jobs are told to save themselves and give back their leases."""

    def drain(**_: object) -> None:
        supervisor.draining.set()

    worker_shutting_down.connect(drain, weak=False)


if __name__ == "__main__":
    sys.exit(main())
