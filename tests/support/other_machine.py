"""A worker that sees no processes but its own, as one on another machine: ``python -m tests.support.other_machine ...``."""

from __future__ import annotations

import sys

import psutil

from mentor.jobs import supervisor, worker
from mentor.jobs.processes import marked


def own_only(job_id: str, last_fence: int | None = None) -> list[psutil.Process]:
    """Of a job's processes, those that this worker started."""
    here = {child.pid for child in psutil.Process().children(recursive=True)}
    return [process for process in marked(job_id, last_fence) if process.pid in here]


if __name__ == "__main__":
    supervisor.marked = own_only
    sys.exit(worker.main())
