"""Jobs whose model server is their own: a stack that runs teacher and evaluator jobs, and a view of the servers' processes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from mentor.data import iter_trajectories
from mentor.jobs.manager import JobManager
from mentor.jobs.model import Job, JobState
from mentor.jobs.processes import attempt_mark, marked
from mentor.jobs.service import build_manager
from mentor.trajectory import Trajectory
from mentor_evaluator.matrix.job import EvaluationJob
from mentor_teacher.jobs import TeacherJob
from tests.support.job_stack import JobStack, job_stack
from tests.support.waiting import eventually

HANDLERS = ("mentor_teacher.jobs:TeacherJob", "mentor_evaluator.matrix.job:EvaluationJob")


class ServedJobs:
    """A Redis, a store and a worker of teacher and evaluator jobs."""

    def __init__(self, stack: JobStack, environment: Mapping[str, str]) -> None:
        self.stack = stack
        self.manager: JobManager = build_manager([TeacherJob(), EvaluationJob()], stack.settings)
        stack.manager = self.manager
        self.environment = environment
        self.worker()

    def worker(self) -> None:
        """One more worker."""
        more = [part for handler in HANDLERS for part in ("--handler", handler)]
        self.stack.worker("served", *more, **self.environment)

    def submit(self, kind: str, **spec: Any) -> Job:
        return self.manager.submit(kind, spec)[0]

    def ended(self, job: Job, within: float = 120) -> Job:
        return self.stack.finished(job, within)

    def succeeded(self, job: Job, within: float = 120) -> Job:
        done = self.ended(job, within)
        assert done.state is JobState.SUCCEEDED, (done.error, self.log(job))
        return done

    def log(self, job: Job) -> str:
        """What the job's processes wrote, over all attempts."""
        attempts = range(1, self.manager.get(job.id).attempt + 1)
        paths = [self.manager.files.log_path(job.id, attempt) for attempt in attempts]
        return "".join(path.read_text() for path in paths if path.exists())

    def counted(self, name: str) -> dict[tuple[str, ...], float]:
        """A counter's values by their labels, kind excepted."""
        return {tuple(json.loads(field)[1:]): value for field, value in self.manager.store.counts(name).items()}

    def server(self, job: Job, module: str = "mentor.inference.local") -> psutil.Process:
        """The process of the job's model server, once it is there; the guardian above it is not meant."""

        def found() -> psutil.Process | None:
            for process in marked(job.id):
                line = command_line(process)
                if module in line and "mentor.jobs.guardian" not in line:
                    return process
            return None

        return eventually(found, 60, what="the model server's process")

    def drawn(self, job: Job, at_least: int, within: float = 90) -> None:
        """Wait until the running job has so many trajectories on disk."""

        def enough() -> bool:
            now = self.manager.get(job.id)
            assert not now.state.final, (now.error, self.log(job))
            own = [path for path in journals(Path(self.stack.settings.store)) if job.id in path.parts]
            return sum(1 for path in own for _ in path.open()) >= at_least

        eventually(enough, within, every=0.01, what=f"{at_least} trajectories")

    def trajectories(self, job: Job) -> list[Trajectory]:
        """What a teacher job has committed."""
        path = self.manager.files.open_path(self.manager.artifact(job.id, "trajectories.jsonl"))
        return list(iter_trajectories(path))

    def nothing_left(self, job: Job) -> None:
        """Wait until no process of the job is alive."""
        eventually(lambda: not marked(job.id), 30, what=f"the processes of {attempt_mark(job.id, 0)} to be gone")


def command_line(process: psutil.Process) -> list[str]:
    """A process's arguments; none where it is gone."""
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def journals(store: Path) -> list[Path]:
    """Journals of jobs that run on a store."""
    return [path for path in store.rglob("trajectories.jsonl") if "state" in path.parts]


@contextmanager
def served_jobs(folder: Path, environment: Mapping[str, str] | None = None, **settings: Any) -> Iterator[ServedJobs]:
    """A stack for the duration of the block; ``environment`` is its workers', ``settings`` are of jobs."""
    with job_stack(folder, **settings) as stack:
        yield ServedJobs(stack, environment or {})
