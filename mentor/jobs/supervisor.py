"""One attempt at a job, seen from its worker: claim, start, renew, stop, report; nothing of it outlives the attempt."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import structlog

from mentor.errors import InfrastructureError
from mentor.jobs.artifacts import ArtifactStore
from mentor.jobs.celery_app import Publisher
from mentor.jobs.gpus import GpuLeases
from mentor.jobs.model import SCHEMA_VERSION, Claim, JobState
from mentor.jobs.processes import ATTEMPT_VARIABLE, attempt_mark, kill_until_gone, marked
from mentor.jobs.runner import REPORT_VARIABLE
from mentor.jobs.settings import JobSettings
from mentor.jobs.store import JobStore, LeaseLostError
from mentor.rpc.context import TRACE_VARIABLE, traceparent

log = structlog.get_logger("mentor.jobs")
_TICK_SECONDS = 0.5


class Supervisor:
    """Runs claimed jobs for one worker process.

    Args:
        settings: the stack's job settings.
        handlers: import path of the handler of each kind.
    """

    def __init__(self, settings: JobSettings, handlers: Mapping[str, str]) -> None:
        self.settings = settings
        self.handlers = handlers
        self.store = JobStore(settings.redis_url, prefix=settings.prefix, lease_s=settings.lease_s)
        self.files = ArtifactStore(settings.store)
        self.publisher = Publisher(settings)
        self.gpus = GpuLeases(self.store, settings.gpus)
        self.owner = f"{socket.gethostname()}:{os.getpid()}"
        self.draining = threading.Event()

    def run(self, job_id: str) -> str:
        """Claim and run a job to its end; returns the outcome (``skipped`` where there was nothing to claim)."""
        if self.draining.is_set():
            return "skipped"  # still queued: another worker, or the reaper's message, will take it
        if self.store.get(job_id).schema_version > SCHEMA_VERSION:
            return "skipped"  # written by a newer service: its own workers know what it says
        claim = self.store.claim(job_id, self.owner)
        if claim is None:
            return "skipped"
        bound = log.bind(job=job_id, fence=claim.fence, attempt=claim.job.attempt, request_id=claim.job.request_id)
        bound.info("job claimed", kind=claim.job.kind)
        kill_until_gone(lambda: marked(job_id))  # an earlier attempt whose worker and guardian were both killed
        try:
            outcome = self._attempt(claim)
        except LeaseLostError:
            outcome = {"status": "lost"}
        finally:
            kill_until_gone(lambda: marked(job_id))
            self.gpus.release(job_id)
        status = self._report(claim, outcome)
        bound.info("job left", status=status, error=outcome.get("error"), detail=outcome.get("detail"))
        return status

    def _attempt(self, claim: Claim) -> dict[str, Any]:
        devices = self._wait_for_gpus(claim)
        if devices is None:
            return {"status": "stopped"}
        with tempfile.TemporaryDirectory(prefix="mentor-job-") as folder:
            report = Path(folder, "report.json")
            lifeline_read, lifeline_write = os.pipe()
            try:
                guardian = self._start(claim, report, lifeline_read, devices)
                os.close(lifeline_read)
                code, cancelled = self._watch(claim, guardian)
            finally:
                os.close(lifeline_write)
            if cancelled:
                return {"status": "cancelled"}
            text = report.read_text() if report.exists() else ""
            return json.loads(text) if text else self._died(claim, code)

    def _wait_for_gpus(self, claim: Claim) -> str | None:
        """Device numbers for the job ("" where none are managed or needed); None if told to stop while waiting."""
        wanted = int(claim.job.spec.get("n_gpus_per_node") or claim.job.spec.get("gpus") or 0)
        if not self.settings.gpus or not wanted or claim.job.spec.get("device") == "cpu":
            return ""
        while (devices := self.gpus.acquire(claim.job.id, wanted)) is None:
            if self.store.renew(claim.job.id, claim.fence) or self.draining.wait(2.0):
                return None
        return ",".join(map(str, devices))

    def _start(self, claim: Claim, report: Path, lifeline: int, devices: str) -> subprocess.Popen[bytes]:
        job = claim.job
        environment = os.environ | {
            ATTEMPT_VARIABLE: attempt_mark(job.id, claim.fence),
            REPORT_VARIABLE: str(report),
            "MENTOR_REQUEST_ID": job.request_id or job.id,
            TRACE_VARIABLE: traceparent.get() or job.traceparent or "",
            "PYTHONUNBUFFERED": "1",
        }
        if devices:
            environment["CUDA_VISIBLE_DEVICES"] = devices
        runner = [sys.executable, "-m", "mentor.jobs.runner", self.handlers[job.kind], job.id, str(claim.fence)]
        with self.files.log_path(job.id, job.attempt).open("ab") as output:
            return subprocess.Popen(
                [sys.executable, "-m", "mentor.jobs.guardian", str(lifeline), "--", *runner],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                pass_fds=(lifeline,),
                env=environment,
                start_new_session=True,
            )

    def _watch(self, claim: Claim, guardian: subprocess.Popen[bytes]) -> tuple[int, bool]:
        """Renew the lease until the job ends. Returns its exit code, and whether it was cancelled."""
        renewed = time.monotonic()
        stopping: float | None = None
        cancelled = False
        while (code := guardian.poll()) is None:
            time.sleep(_TICK_SECONDS)
            now = time.monotonic()
            if now - renewed >= self._renew_every():
                cancelled, renewed = self._renew(claim, guardian) or cancelled, now
            if stopping is None and (cancelled or self.draining.is_set()):
                stopping = now
                guardian.send_signal(signal.SIGTERM)
            if stopping is not None and now - stopping > self.settings.stop_grace_s:
                self._kill(claim, guardian)
        return code, cancelled

    def _renew_every(self) -> float:
        # A third of the lease, but often enough that a cancellation is seen within two seconds.
        return min(self.settings.lease_s / 3, 2.0)

    def _renew(self, claim: Claim, guardian: subprocess.Popen[bytes]) -> bool:
        try:
            return self.store.renew(claim.job.id, claim.fence)
        except LeaseLostError:
            self._kill(claim, guardian)
            raise
        except InfrastructureError as error:
            log.warning("lease not renewed", job=claim.job.id, error=error.message)
            return False

    def _kill(self, claim: Claim, guardian: subprocess.Popen[bytes]) -> None:
        kill_until_gone(lambda: marked(claim.job.id))
        guardian.wait()

    def _died(self, claim: Claim, code: int) -> dict[str, Any]:
        """A job whose process ended without a word: killed from outside, or out of memory."""
        if self.draining.is_set():
            return {"status": "stopped"}
        return {"status": "infrastructure", "error": f"the job's process ended without a report (exit code {code})"}

    def _report(self, claim: Claim, outcome: dict[str, Any]) -> str:
        """Make the outcome the job's state, unless the lease has passed on."""
        job_id, fence, status = claim.job.id, claim.fence, str(outcome["status"])
        if status == "stopped" and self.store.get(job_id).cancel_requested:
            status = "cancelled"
        if status == "succeeded":
            self.store.finish(job_id, fence, JobState.SUCCEEDED, result=outcome["result"])
        elif status == "cancelled":
            self.store.finish(job_id, fence, JobState.CANCELLED)
        elif status == "failed":
            self.store.finish(job_id, fence, JobState.FAILED, error=outcome["error"])
        elif status == "infrastructure" and claim.job.attempt >= self.settings.max_lapses:
            error = f"gave up after {claim.job.attempt} attempts: {outcome['error']}"
            self.store.finish(job_id, fence, JobState.FAILED, error=error)
        elif status in ("stopped", "infrastructure") and self.store.release(job_id, fence):
            self.publisher.publish(job_id, claim.job.kind)
        return status
