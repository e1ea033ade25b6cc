"""Services that are stood in for: jobs are done when they are looked at, what they leave is made on the spot."""

from __future__ import annotations

import io
import json
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest
from rich.console import Console

from mentor.data import read_questions, write_questions, write_trajectories
from mentor.errors import NotFoundError
from mentor.experiment.running import jobs
from mentor.jobs.client import JobClient
from mentor.jobs.model import Artifact, Job, JobState
from mentor.trajectory import CallSignature, Question, Reference, Trajectory
from tests.support.training import solved

METRICS = {"training/global_step": 1, "mentor/reward": 0.5, "mentor/samples": 8.0, "response_length/mean": 10.0}
METRICS |= {"timing_s/step": 4.0, "timing_s/gen": 1.0, "timing_s/update_actor": 2.0, "actor/kl_loss": float("nan")}


class Services:
    """Every service at once: jobs end when they are looked at, unless told otherwise by their label in ``ends``."""

    def __init__(self) -> None:
        self.jobs: dict[str, Job] = {}
        self.keys: dict[str, str] = {}
        self.submitted: Counter[str] = Counter()
        self.resumed: list[str] = []
        self.cancelled: list[str] = []
        self.ends: Callable[[Job], JobState] = lambda job: JobState.SUCCEEDED
        self.files: dict[str, Path] = {}

    def end(self, job: Job) -> Job:
        state = self.ends(job)
        error = "out of memory" if state is JobState.FAILED else None
        times = {"started_at": 10.0, "finished_at": 12.5} if state.final else {}
        self.jobs[job.id] = job.model_copy(update={"state": state, "error": error, **times})
        return self.jobs[job.id]


class Client(JobClient):
    """Asks them, wherever they are."""

    services: ClassVar[Services]

    def __init__(self, url: str) -> None:
        self.url = url

    def share(self, path: str) -> str:
        self.services.files[f"file:{path}"] = Path(path)
        return f"file:{path}"

    def submit(self, kind: str, spec: dict[str, Any], key: str | None = None) -> Job:
        assert key is not None
        if key not in self.services.keys:
            self.services.submitted[kind] += 1
            job = Job(id=f"{kind}-{len(self.services.jobs)}", kind=kind, state=JobState.QUEUED, spec=spec, created_at=0)
            self.services.jobs[job.id] = job
            self.services.keys[key] = job.id
        return self.services.jobs[self.services.keys[key]]

    def resume(self, job_id: str) -> Job:
        self.services.resumed.append(job_id)
        return self.services.jobs[job_id].model_copy(update={"state": JobState.QUEUED})

    def cancel(self, job_id: str) -> Job:
        self.services.cancelled.append(job_id)
        self.services.jobs[job_id] = self.services.jobs[job_id].model_copy(update={"state": JobState.CANCELLED})
        return self.services.jobs[job_id]

    def wait(self, job_id: str, on_change: Callable[[Job], None] = lambda job: None) -> Job:
        while True:
            job = self.services.end(self.services.jobs[job_id])
            on_change(job)
            if job.state.final:
                return job
            time.sleep(0.01)

    def artifacts(self, job_id: str) -> list[Artifact]:
        names = {"teacher": ("references.parquet", "trajectories.jsonl"), "train": ("model", "metrics.jsonl")}
        found = names.get(self.services.jobs[job_id].kind, ("trajectories.jsonl", "report.json"))
        return [Artifact(name=name, path=name, bytes=0, sha256="", fence=1) for name in found]

    def fetch(self, job_id: str, name: str, target: Path) -> Path:
        job = self.services.jobs[job_id]
        if name == "metrics.jsonl":
            target.write_text(json.dumps({"step": 1, "data": METRICS}) + "\n")
            return target
        questions = read_questions(self.services.files[job.spec["questions"]])
        if name == "references.parquet":
            write_questions(questions, target)
        else:
            write_trajectories((drawn(q, n) for q in questions for n in range(job.spec["samples"])), target)
        return target

    def schema(self, kind: str) -> dict[str, Any]:
        raise NotFoundError("nobody here")


def drawn(question: Question, sample: int) -> Trajectory:
    """A right answer by one call; evaluation sets carry no references."""
    call = CallSignature(name="add", arguments={"a": 1})
    reference = Reference(answer=question.answers[0], tool_calls=(call,))
    return solved(question.model_copy(update={"references": (reference,)})).model_copy(update={"sample": sample})


def stand_in(monkeypatch: pytest.MonkeyPatch) -> Services:
    """Let every session ask new services of ours; archives are not packed."""
    Client.services = Services()
    monkeypatch.setattr(jobs, "JobClient", Client)
    monkeypatch.setattr(jobs, "_fetch", _fetch)
    return Client.services


def _fetch(client: Client, job_id: str, name: str, folder: Path) -> None:
    if name == "model":
        (folder / name).mkdir()
        (folder / name / "weights").write_text(job_id)
    else:
        client.fetch(job_id, name, folder / name)


def recorder() -> Console:
    """A console whose text can be looked at."""
    return Console(record=True, width=200, file=io.StringIO())
