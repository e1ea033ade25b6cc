"""A training job that Redis leaves for a while."""

from __future__ import annotations

import signal
import time
from typing import Any

from mentor.jobs.model import JobState
from mentor.jobs.service import build_manager
from mentor_trainer.jobs import TrainJob
from tests.support.job_stack import JobStack
from tests.support.waiting import eventually


def assert_redis_may_leave(
    stack: JobStack, values: dict[str, Any], away_s: float, *, leaves: str, within: float
) -> None:
    """Redis is killed after the job's first step and comes back ``away_s`` later: the job's one attempt succeeds, reports every
    step once, and leaves the artefact ``leaves``. ``within``: seconds to the first step, and from Redis' return to the end.
    """
    manager = build_manager([TrainJob()], stack.settings)
    stack.worker("trainer", "--handler", "mentor_trainer.jobs:TrainJob")
    job, _ = manager.submit("train", values)
    eventually(lambda: manager.get(job.id).progress > 0, within=within, what="the first step")
    stack.stop_redis(signal.SIGKILL)
    time.sleep(away_s)
    stack.start_redis()
    eventually(lambda: manager.get(job.id).state.final, within=within, what="the job to end")
    ended = manager.get(job.id)
    assert (ended.state, ended.attempt, ended.lapses) == (JobState.SUCCEEDED, 1, 0), ended.error
    told = [e.data["metrics"]["step"] for e in manager.events(job.id, 0, 0) if "step" in e.data.get("metrics", {})]
    assert told == list(range(1, values["total_steps"] + 1)), "every step was reported once, in order"
    assert manager.artifact(job.id, leaves).bytes > 0
