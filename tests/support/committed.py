"""Jobs that have committed what a test says, in a real store, behind the real services' APIs."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx

from mentor.jobs.artifacts import ArtifactStore
from mentor.jobs.embedded_redis import redis_url, start_redis
from mentor.jobs.model import JobState
from mentor.jobs.store import Claim, JobStore, LeaseLostError
from mentor.rpc.principal import ANYONE, Principal
from tests.support.service_process import ServiceProcess
from tests.support.waiting import eventually

SERVICES = ("teacher", "trainer", "evaluator")
Lines = Sequence[Mapping[str, Any] | bytes]


def write_lines(path: Path, lines: Lines) -> Path:
    """JSON lines; bytes are written as they are."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join((x if isinstance(x, bytes) else json.dumps(x).encode()) + b"\n" for x in lines))
    return path


class CommittedJobs:
    """A Redis and a store, the three services that have jobs, and consoles over them."""

    def __init__(self, folder: Path, env: Mapping[str, str] | None = None, services: Sequence[str] = SERVICES) -> None:
        self.folder, self.env = folder, dict(env or {})
        self.redis = start_redis(folder / "redis")
        url, place = redis_url(folder / "redis"), str(folder / "store")
        self.store, self.files = JobStore(url), ArtifactStore(place)
        self.jobs_env = {"MENTOR_JOBS_REDIS_URL": url, "MENTOR_JOBS_STORE": place, **self.env}
        self.processes: dict[str, ServiceProcess] = {}
        for service in services:
            self.start(service)
        self.consoles: list[ServiceProcess] = []
        self.ids: dict[str, str] = {}

    def start(self, service: str) -> None:
        """Start a service (again)."""
        self.processes[service] = ServiceProcess(f"mentor_{service}", env=self.jobs_env)

    def job(
        self,
        kind: str,
        artifacts: Mapping[str, Path],
        spec: Mapping[str, Any] | None = None,
        submitter: Principal = ANYONE,
    ) -> str:
        """A job that has succeeded and committed these files and folders; returns its id."""
        claim = self.claimed(kind, spec, submitter)
        for name, path in artifacts.items():
            self.commit(claim, name, path)
        assert self.store.finish(claim.job.id, claim.fence, JobState.SUCCEEDED, result={})
        return claim.job.id

    def claimed(self, kind: str, spec: Mapping[str, Any] | None = None, submitter: Principal = ANYONE) -> Claim:
        """A job that runs, and that the test is the worker of."""
        job, _ = self.store.submit(kind, dict(spec or {}), submitter=submitter)
        claim = self.store.claim(job.id, "test")
        assert claim is not None
        return claim

    def commit(self, claim: Claim, name: str, path: Path) -> None:
        """As its worker, a file or folder."""
        self.store.commit(claim.job.id, self.files.put(claim.job.id, name, path, claim.fence))

    def console(self, *arguments: str, cache: str = "console", **more: str) -> ServiceProcess:
        """A console over these services."""
        urls = {f"MENTOR_CONSOLE_{name.upper()}_URL": process.http for name, process in self.processes.items()}
        env = {
            **self.env,
            "MENTOR_CONSOLE_CACHE": str(self.folder / cache),
            "MENTOR_CONSOLE_GATHER_S": "0.3",
            **urls,
            **more,
        }
        started = ServiceProcess("mentor_console", *arguments, grpc=False, env=env)
        self.consoles.append(started)
        return started

    def close(self) -> None:
        for process in (*self.consoles, *self.processes.values()):
            process.stop()
        self.redis.kill()
        self.redis.wait()


@contextmanager
def committed_jobs(folder: Path, **options: Any) -> Iterator[CommittedJobs]:
    """For the duration of the block."""
    made = CommittedJobs(folder, **options)
    try:
        yield made
    finally:
        made.close()


@contextmanager
def held(store: JobStore, job: str, fence: int) -> Iterator[None]:
    """Renew a lease for the duration of the block, as a worker does."""
    over = threading.Event()

    def renew() -> None:
        with suppress(LeaseLostError):  # the block ended the job itself
            while not over.wait(2.0):
                store.renew(job, fence)

    thread = threading.Thread(target=renew, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def browser(console: ServiceProcess) -> httpx.Client:
    """A client that keeps cookies, as a browser does."""
    return httpx.Client(base_url=console.http, trust_env=False, timeout=30.0)


def gathered(console: ServiceProcess, number: int) -> None:
    """Wait until so many trajectories are in the index."""
    eventually(
        lambda: console.metric("mentor_console_trajectories") >= number, what=f"{number} trajectories in the index"
    )
