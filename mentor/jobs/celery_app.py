"""The Celery application: its messages carry a job id and nothing else.

A message is acknowledged when it is received; what makes a job run exactly once is the lease in Redis, so neither a lost
message (the reaper publishes again) nor one delivered twice (the second claim finds nothing) matters.
"""

from __future__ import annotations

from typing import Any

from celery import Celery

from mentor.jobs.settings import JobSettings

TASK = "mentor.run_job"


def queue_name(kind: str, prefix: str = "mentor") -> str:
    """The queue of a kind; workers of a service listen to their own."""
    return f"{prefix}.jobs.{kind}"


def broker_key(kind: str, prefix: str = "mentor") -> str:
    """The Redis list in which a kind's messages wait."""
    return f"{prefix}:broker:{queue_name(kind, prefix)}"


def celery_app(settings: JobSettings) -> Celery:
    """An application on the stack's Redis."""
    app = Celery("mentor", broker=settings.celery_url)
    app.conf.update(
        task_serializer="json",
        accept_content=["json"],
        task_ignore_result=True,
        task_acks_late=False,
        worker_prefetch_multiplier=1,
        worker_disable_prefetch=True,
        worker_hijack_root_logger=False,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_transport_options={"global_keyprefix": f"{settings.prefix}:broker:", "socket_keepalive": True},
        task_default_delivery_mode="persistent",
    )
    return app


class Publisher:
    """Sends jobs to workers."""

    def __init__(self, settings: JobSettings) -> None:
        self._settings = settings
        self._app = celery_app(settings)

    def publish(self, job_id: str, kind: str) -> None:
        """Send one message. A broker outage is not the caller's failure: the job is stored, the reaper will publish it."""
        options: dict[str, Any] = {"queue": queue_name(kind, self._settings.prefix), "retry": False}
        try:
            self._app.send_task(TASK, args=[job_id], **options)
        except self._app.connection_for_write().recoverable_connection_errors:
            return
