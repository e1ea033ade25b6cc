"""A Redis, a store folder and workers, for tests of jobs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mentor.jobs.embedded_redis import redis_url, start_redis
from mentor.jobs.manager import JobManager
from mentor.jobs.model import Job, JobState
from mentor.jobs.reaper import Reaper
from mentor.jobs.service import build_manager
from mentor.jobs.settings import JobSettings
from tests.support.toy_job import ToyJob
from tests.support.waiting import eventually


class JobStack:
    """A Redis, a store folder, and workers on them. Settings are short, so that what lapses does so soon."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.folder = folder
        self.redis_folder = folder / "redis"
        self.redis = start_redis(self.redis_folder)
        quick = {"lease_s": 5, "reap_interval_s": 0.3, "republish_s": 2, "stop_grace_s": 20}
        self.settings = JobSettings(
            redis_url=redis_url(self.redis_folder), store=str(folder / "store"), **(quick | settings)
        )
        self.manager: JobManager = build_manager([ToyJob()], self.settings)
        self.workers: list[subprocess.Popen[bytes]] = []

    def worker(
        self, name: str = "toy", *arguments: str, module: str = "mentor.jobs.worker", **more: str
    ) -> subprocess.Popen[bytes]:
        command = [
            sys.executable,
            "-m",
            module,
            "--name",
            name,
            "--handler",
            "tests.support.toy_job:ToyJob",
            *arguments,
        ]
        with self.log(len(self.workers)).open("wb") as log:
            env = os.environ | self.environment | more
            worker = subprocess.Popen(command, env=env, stdout=log, stderr=subprocess.STDOUT)
        self.workers.append(worker)
        return worker

    @property
    def environment(self) -> dict[str, str]:
        """The settings as a worker reads them."""
        return {f"MENTOR_JOBS_{k.upper()}": str(v) for k, v in self.settings.model_dump(exclude_none=True).items()}

    def log(self, number: int) -> Path:
        """Output of a worker, by the order of its start."""
        return self.folder / f"worker-{number}.log"

    def reaper(self) -> Reaper:
        """One that is not started."""
        return Reaper(self.settings, self.manager.store, self.manager.publisher, self.manager.files)

    def stop_redis(self, how: int = signal.SIGTERM) -> None:
        self.redis.send_signal(how)
        self.redis.wait()

    def start_redis(self) -> None:
        self.redis = start_redis(self.redis_folder)

    def submit(self, **spec: object) -> Job:
        return self.manager.submit("toy", spec)[0]

    def finished(self, job: Job, within: float = 90) -> Job:
        def done() -> Job | None:
            now = self.manager.get(job.id)
            return now if now.state.final else None

        return eventually(done, within, what=f"{job.id} to end")

    def running(self, job: Job, progress: float = 0.0) -> Job:
        def started() -> Job | None:
            now = self.manager.get(job.id)
            assert not now.state.final, now
            return now if now.state is JobState.RUNNING and now.progress > progress else None

        return eventually(started, what=f"{job.id} to run")

    def close(self) -> None:
        for worker in self.workers:
            worker.kill()
            worker.wait()
        self.redis.kill()
        self.redis.wait()


@contextmanager
def job_stack(folder: Path, **settings: Any) -> Iterator[JobStack]:
    """A stack for the duration of the block."""
    made = JobStack(folder, **settings)
    try:
        yield made
    finally:
        made.close()
