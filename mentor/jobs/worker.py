"""A Celery worker of one service: ``python -m mentor.jobs.worker --name teacher --handler mentor_teacher.jobs:TeacherJob``.

Threads, not forked children: a forked pool may not start processes, and gRPC does not survive a fork. Each job is a
supervised process of its own; the thread that Celery gives a task only watches it.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Sequence

import structlog
from celery.signals import worker_shutting_down
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from mentor.errors import InfrastructureError, MentorError
from mentor.jobs.capacity import Capacity
from mentor.jobs.celery_app import TASK, broker_key, celery_app, queue_name
from mentor.jobs.handler import load_handler
from mentor.jobs.reaper import Reaper
from mentor.jobs.settings import JobSettings
from mentor.jobs.supervisor import Supervisor
from mentor.jobs.worker_health import ConsumerWatch, serve_health
from mentor.rpc.context import TRACE_HEADER
from mentor.rpc.tracing import configure_tracing, server_span
from mentor.serving.logs import configure_logs
from mentor.serving.metrics import new_registry
from mentor.serving.vitals import Rounds, Vitals

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


class Worker:
    """One worker process: what it runs, what it exports, and who watches over it.

    Args:
        handler_paths: import paths of the handlers of the kinds that it runs.
        slots: jobs at once.
    """

    def __init__(self, settings: JobSettings, handler_paths: Sequence[str], slots: int) -> None:
        self.registry = new_registry()
        self.vitals = Vitals(self.registry)
        handlers = {load_handler(path).kind: path for path in handler_paths}
        self.supervisor = Supervisor(settings, handlers, self.vitals)
        self.metrics = WorkerMetrics(self.registry, list(handlers))
        self.queues = [queue_name(kind, settings.prefix) for kind in handlers]
        keys = [broker_key(kind, settings.prefix) for kind in handlers]
        self.consumer = ConsumerWatch(self.supervisor.store.redis, keys, slots)
        self.vitals.watch("consumer", self.consumer.ails)
        self.reaper = Reaper(settings, self.supervisor.store, self.supervisor.publisher, self.supervisor.files)
        self.capacity = Capacity(self.supervisor.store, settings)
        self._round = Rounds("worker", self._look, every_s=min(5.0, settings.reap_interval_s))
        self.app = celery_app(settings)
        self.app.task(self.run_job, name=TASK)

    def run_job(self, job_id: str) -> None:
        """Work on a message."""
        job = self.supervisor.store.get(job_id)
        with (
            self.consumer.taken(),
            server_span(f"attempt {job.kind}", {TRACE_HEADER: job.traceparent or ""}),
            self.metrics.running.labels(job.kind).track_inprogress(),
            self.metrics.seconds.labels(job.kind).time(),
        ):
            outcome = self.supervisor.run(job_id)
        self.metrics.attempts.labels(job.kind, outcome).inc()

    def _look(self) -> None:
        self.consumer.look()
        with contextlib.suppress(InfrastructureError):  # said again in a moment
            self.capacity.say(self.supervisor.owner, self.supervisor.handlers)

    def start(self) -> None:
        """Start what works beside the consumer."""
        self._round.watched_by(self.vitals)
        self._round.start()
        self.reaper.start(self.vitals)

    def stop(self) -> None:
        """End it."""
        self.reaper.stop()
        self._round.stop()


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="mentor.jobs.worker", description="Runs jobs of one service.")
    parser.add_argument("--name", required=True, help="of the worker, for logs and Celery")
    parser.add_argument("--handler", action="append", required=True, metavar="MODULE:CLASS")
    parser.add_argument("--concurrency", type=int, default=1, help="jobs at once")
    parser.add_argument("--metrics-host", default="127.0.0.1", help="address on which metrics and health are served")
    parser.add_argument("--metrics-port", type=int, default=None, help="without it none are served")
    options = parser.parse_args(arguments)
    configure_logs(f"{options.name}-worker")
    configure_tracing(f"{options.name}-worker")
    try:
        worker = Worker(JobSettings(), options.handler, options.concurrency)
        worker.supervisor.store.ping()
        if options.metrics_port is not None:
            port = serve_health(worker.registry, worker.vitals, options.metrics_host, options.metrics_port)
            log.info("listening", http=f"http://{options.metrics_host}:{port}")
    except (MentorError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    worker.start()
    _drain_on_shutdown(worker.supervisor)
    flags = ["--pool=threads", f"--concurrency={options.concurrency}", f"--queues={','.join(worker.queues)}"]
    flags += [f"--hostname={options.name}@%h", "--loglevel=warning", "--without-gossip", "--without-mingle"]
    worker.app.worker_main(["worker", *flags])
    worker.stop()
    return 0


def _drain_on_shutdown(supervisor: Supervisor) -> None:
    """SIGTERM: Celery waits for its tasks, whose jobs are told to save themselves and give back their leases."""

    def drain(**_: object) -> None:
        supervisor.draining.set()

    worker_shutting_down.connect(drain, weak=False)


if __name__ == "__main__":
    sys.exit(main())
