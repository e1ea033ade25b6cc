"""One attempt at a job, seen from its worker: claim, start, renew, stop, report; nothing of it outlives the attempt."""

from __future__ import annotations

import contextlib
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

from mentor.errors import InfrastructureError, UserError
from mentor.jobs.artifacts import ArtifactStore
from mentor.jobs.celery_app import Publisher
from mentor.jobs.deadline import clock
from mentor.jobs.gpus import GpuLeases, gpus_wanted
from mentor.jobs.lease import ANSWER_SECONDS, Lease, patiently
from mentor.jobs.model import SCHEMA_VERSION, Claim, JobState
from mentor.jobs.processes import ATTEMPT_VARIABLE, attempt_mark, kill_until_gone, marked
from mentor.jobs.runner import REPORT_VARIABLE
from mentor.jobs.settings import JobSettings
from mentor.jobs.store import JobStore, LeaseLostError
from mentor.jobs.workspace import Workspace
from mentor.rpc.context import TRACE_VARIABLE, traceparent
from mentor.serving.vitals import Vitals

log = structlog.get_logger("mentor.jobs")
_TICK_SECONDS = 0.5


def _answer_within(lease_s: float) -> float:
    """Seconds for a renewal: what is left of the lease must do for the beat, and for another try of both."""
    return min(lease_s / 6, ANSWER_SECONDS)


class Supervisor:
    """Runs claimed jobs for one worker process.

    Args:
        settings: the stack's job settings.
        handlers: import path of the handler of each kind.
        vitals: told of the threads that keep leases.
    """

    def __init__(self, settings: JobSettings, handlers: Mapping[str, str], vitals: Vitals) -> None:
        self.settings = settings
        self.vitals = vitals
        self.handlers = handlers
        self.store = JobStore(settings.redis_url, prefix=settings.prefix, lease_s=settings.lease_s)
        self.renewals = JobStore(
            settings.redis_url,
            prefix=settings.prefix,
            lease_s=settings.lease_s,
            answer_s=_answer_within(settings.lease_s),
        )
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
        since = clock()
        claim = self.store.claim(job_id, self.owner)
        if claim is None:
            return "skipped"
        bound = log.bind(job=job_id, fence=claim.fence, attempt=claim.job.attempt, request_id=claim.job.request_id)
        bound.info("job claimed", kind=claim.job.kind)
        lease = Lease(claim, since, self.renewals, self.files, self.settings)
        lease.start(self.vitals)
        try:
            outcome = self._attempt(claim, lease)
            status = self._report(claim, outcome)
        finally:
            lease.stop()
        bound.info("job left", status=status, error=outcome.get("error"), detail=outcome.get("detail"))
        return status

    def _attempt(self, claim: Claim, lease: Lease) -> dict[str, Any]:
        """Run the job's processes; none of them is alive afterwards."""
        job_id = claim.job.id
        self._kill_all(claim)  # an earlier attempt whose worker and guardian were both killed
        try:
            devices = self._wait_for_gpus(claim, lease)
            return {"status": "stopped"} if devices is None else self._run(claim, lease, devices)
        except LeaseLostError:
            return {"status": "lost"}
        except UserError as error:
            return {"status": "failed", "error": str(error)}
        except OSError as error:  # no process, no log, no space
            return {"status": "infrastructure", "error": f"cannot start: {error}"}
        finally:
            self._kill_all(claim)
            if lease.ours() and not marked(job_id, claim.fence):
                Workspace(self.files, job_id, claim.fence).seal()
            with contextlib.suppress(InfrastructureError):  # free anyway once the job no longer runs
                self.gpus.release(job_id)

    def _run(self, claim: Claim, lease: Lease, devices: str) -> dict[str, Any]:
        with tempfile.TemporaryDirectory(prefix="mentor-job-") as folder:
            report = Path(folder, "report.json")
            lifeline_read, lifeline_write = os.pipe()
            try:
                guardian = self._start(claim, report, lifeline_read, devices)
                os.close(lifeline_read)
                lease.tell(lifeline_write)
                code = self._watch(claim, lease, guardian)
            finally:
                lease.tell(None)
                os.close(lifeline_write)
            if lease.cancelled.is_set():
                return {"status": "cancelled"}
            text = report.read_text() if report.exists() else ""
            return json.loads(text) if text else self._died(lease, code)

    def _wait_for_gpus(self, claim: Claim, lease: Lease) -> str | None:
        """Device numbers for the job ("" where none are managed or needed); None if told to stop while waiting.

        Raises:
            UserError: more are wanted than there are.
        """
        wanted = gpus_wanted(claim.job.spec)
        if not self.settings.gpus or not wanted:
            return ""
        while True:
            with contextlib.suppress(InfrastructureError):  # Redis is away: it may come back
                devices = self.gpus.acquire(claim.job.id, wanted)
                if devices is not None:
                    return ",".join(map(str, devices))
            if lease.ending() or self.draining.wait(_TICK_SECONDS):
                return None

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

    def _watch(self, claim: Claim, lease: Lease, guardian: subprocess.Popen[bytes]) -> int:
        """Wait for the job's end, and see to it where there is a reason; returns its exit code.

        Raises:
            LeaseLostError: the job is not ours any more, and has been killed.
        """
        stopping: float | None = None
        while True:
            with contextlib.suppress(subprocess.TimeoutExpired):
                return guardian.wait(_TICK_SECONDS)
            if lease.lost.is_set():
                self._kill(claim, guardian)
                raise LeaseLostError(f"the lease on {claim.job.id} is lost")
            now = time.monotonic()
            if stopping is None and (lease.ending() or self.draining.is_set()):
                stopping = now
                guardian.send_signal(signal.SIGTERM)
            if stopping is not None and now - stopping > self.settings.stop_grace_s:
                self._kill(claim, guardian)

    def _kill(self, claim: Claim, guardian: subprocess.Popen[bytes]) -> None:
        self._kill_all(claim)
        guardian.wait()

    def _kill_all(self, claim: Claim) -> None:
        """Kill what is alive of this attempt and earlier ones."""
        kill_until_gone(lambda: marked(claim.job.id, claim.fence))

    def _died(self, lease: Lease, code: int) -> dict[str, Any]:
        """A job whose process ended without a word: killed from outside, or out of memory."""
        if lease.lost.is_set():
            return {"status": "lost"}
        if self.draining.is_set() or lease.exhausted.is_set():
            return {"status": "stopped"}
        return {"status": "infrastructure", "error": f"the job's process ended without a report (exit code {code})"}

    def _report(self, claim: Claim, outcome: dict[str, Any]) -> str:
        """Make the outcome the job's state, unless the lease has passed on. While Redis is away there is nothing else to do."""
        try:
            return patiently(lambda: self._conclude(claim, outcome), self.draining.is_set)
        except InfrastructureError as error:
            log.warning("nobody could be told how the job ended", job=claim.job.id, error=error.message)
            return "unreported"  # its lease lapses, and another attempt goes on from what it left

    def _conclude(self, claim: Claim, outcome: dict[str, Any]) -> str:
        job_id, fence, status = claim.job.id, claim.fence, str(outcome["status"])
        if status == "stopped" and self.store.get(job_id).cancel_requested:
            status = "cancelled"
        if status == "succeeded":
            self.store.finish(job_id, fence, JobState.SUCCEEDED, result=outcome["result"])
        elif status == "cancelled":
            self.store.finish(job_id, fence, JobState.CANCELLED)
        elif status == "failed":
            self.store.finish(job_id, fence, JobState.FAILED, error=outcome["error"])
        elif status in ("stopped", "infrastructure", "lost"):  # a lost one is given back if nobody has taken it yet
            died = str(outcome["error"]) if status == "infrastructure" else ""
            if self.store.release(job_id, fence, died=died, most=self.settings.max_lapses):
                self.publisher.publish(job_id, claim.job.kind)
        return status
