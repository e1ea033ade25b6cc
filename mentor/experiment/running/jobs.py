"""One step, done: as a job of a service, found again if it was submitted before, or as a file derived here."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from mentor.analysis.tokens import generated_tokens
from mentor.data import iter_trajectories
from mentor.errors import MentorError
from mentor.experiment.derive import DERIVED
from mentor.experiment.keys import Output, digest_of, resolved
from mentor.experiment.plan import MODEL, Step
from mentor.experiment.running.metrics import METRICS, generated_in_training
from mentor.experiment.running.work import Work
from mentor.jobs.client import JobClient
from mentor.jobs.model import ARTIFACT_SCHEME, Job, JobState
from mentor.jobs.unpack import ArchiveLimits, unpack
from mentor.local.distill import ServiceUrls

TRAJECTORIES = "trajectories.jsonl"
_KEPT = {
    "teacher": ("references.parquet", TRAJECTORIES, "preferences.jsonl"),
    "train": (MODEL, METRICS),
    "evaluate": (TRAJECTORIES,),
}
"""Artefacts that are kept of each kind of job, those of them that it has."""
_FOLDERS = frozenset({MODEL})
_ANY_SIZE = ArchiveLimits(max_bytes=2**50, max_ratio=2**20)
"""It comes from a job of ours: a checkpoint is as large as it is."""
Tell = Callable[[float, str], None]


class Interrupted(Exception):
    """Told to stop; the job that was running has been cancelled."""


class JobFailedError(MentorError):
    """A job ended without success. ``job`` is its id."""

    def __init__(self, job: Job) -> None:
        why = job.error or f"it was {job.state}"
        super().__init__(f"the job {job.id} failed: {why} (mentor jobs logs {job.id})")
        self.job = job.id


class StepRunner:
    """Does steps, in any thread.

    Args:
        stop: once set, running jobs are cancelled and ``Interrupted`` is raised.
        nonce: makes jobs anew though the same ones were submitted before; empty: they are found again.
    """

    def __init__(self, urls: ServiceUrls, work: Work, stop: threading.Event, nonce: str = "") -> None:
        self._work, self._stop, self._nonce = work, stop, nonce
        self._clients: Mapping[str, JobClient] = {
            "teacher": JobClient(urls.teacher),
            "train": JobClient(urls.trainer),
            "evaluate": JobClient(urls.evaluator),
        }

    def do(self, step: Step, tell: Tell) -> None:
        """Do a step whose needs are done, unless it is done already.

        Raises:
            JobFailedError: its job failed or was cancelled by somebody.
            UserError: its spec was refused, naming the field; or the work folder cannot be written.
            InfrastructureError: a service stayed away.
            Interrupted: told to stop.
        """
        if self._work.find(step.content) is not None:
            return
        with self._work.making(step) as (folder, facts):
            if step.kind in DERIVED:
                DERIVED[step.kind](self._local(step.spec), folder)
            else:
                self._as_job(step, folder, facts, tell)

    def _as_job(self, step: Step, folder: Path, facts: dict[str, Any], tell: Tell) -> None:
        client = self._clients[step.kind]
        job = self._wait(client, self._submitted(client, step), tell)
        if job.state is not JobState.SUCCEEDED:
            raise JobFailedError(job)
        known = {artifact.name for artifact in client.artifacts(job.id)}
        for name in _KEPT[step.kind]:
            if name in known:
                _fetch(client, job.id, name, folder)
        started, finished = job.started_at or job.created_at, job.finished_at or job.created_at
        facts |= {"job": job.id, "seconds": round(finished - started, 3), "tokens": _tokens(step.kind, folder)}

    def _submitted(self, client: JobClient, step: Step) -> Job:
        """The step's job: a new one, or the one that an earlier runner submitted, set going again if it had ended badly."""
        spec = self._shared(client, step.spec)
        if step.kind == "train":
            spec["name"] = f"step-{step.content[:12]}"
        key = digest_of({"step": step.content, "code": self._work.code, "spec": spec, "nonce": self._nonce})
        job = client.submit(step.kind, spec, key=f"experiment-{key}")
        return client.resume(job.id) if job.state.resumable else job

    def _wait(self, client: JobClient, job: Job, tell: Tell) -> Job:
        def look(now: Job) -> None:
            tell(now.progress, now.message or str(now.state))
            if self._stop.is_set() and not now.state.final:
                with contextlib.suppress(MentorError):  # it has ended just now, or is found again next time
                    client.cancel(now.id)
                raise Interrupted

        return client.wait(job.id, look)

    def _shared(self, client: JobClient, spec: Mapping[str, Any]) -> dict[str, Any]:
        """A spec with references that the services can read in place of files and outputs."""
        return dict(resolved(spec, lambda f: client.share(str(f.path)), lambda o: self._shared_output(client, o)))

    def _shared_output(self, client: JobClient, output: Output) -> str:
        """Sent along, so that it does not matter what the store still has; what is too large to send is named in the store."""
        path = str(self._work.output(output.step, output.name))
        reference = client.share(path)
        job = self._work.meta(output.step).job
        return f"{ARTIFACT_SCHEME}{job}/{output.name}" if reference == path and job else reference

    def _local(self, spec: Mapping[str, Any]) -> dict[str, Any]:
        """A spec with paths here in place of files and outputs."""
        return dict(resolved(spec, lambda f: str(f.path), lambda o: str(self._work.output(o.step, o.name))))


def _fetch(client: JobClient, job_id: str, name: str, folder: Path) -> None:
    if name not in _FOLDERS:
        client.fetch(job_id, name, folder / name)
        return
    archive = client.fetch(job_id, name, folder / f"{name}.tar")
    unpack(archive, folder / name, _ANY_SIZE)
    archive.unlink()


def _tokens(kind: str, folder: Path) -> float:
    """Tokens that a job's model generated."""
    if kind == "train":
        return generated_in_training(folder / METRICS)
    return float(_sum(generated_tokens(t) for t in iter_trajectories(folder / TRAJECTORIES)))


def _sum(values: Iterable[float]) -> float:
    return sum(values, 0.0)
