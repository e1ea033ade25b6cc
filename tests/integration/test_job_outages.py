"""Redis away, workers cut off, stopped and frozen: work goes on where it may, and never in two hands at once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from mentor.jobs.deadline import DEADLINE, clock
from mentor.jobs.model import Job, JobState
from mentor.jobs.processes import marked
from tests.support.job_stack import JobStack, job_stack
from tests.support.toy_job import steps_in
from tests.support.waiting import eventually


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("outage")


@pytest.fixture
def stack(folder: Path) -> Iterator[JobStack]:
    with job_stack(folder, lease_s=3) as made:
        yield made


def beats(stack: JobStack, job_id: str, number: int) -> None:
    """Wait until a worker has given so many signs of life through the store."""
    seen: set[str] = set()

    def enough() -> bool:
        seen.add(stack.manager.files.read_beat(job_id, 1))
        return len(seen - {""}) >= number

    eventually(enough, what="signs of life in the store")


def done_by(stack: JobStack, job_id: str) -> list[int]:
    """The steps that were reported to Redis."""
    events = stack.manager.events(job_id, 0, 0)
    return [event.data["metrics"]["done"] for event in events if event.type == "progress"]


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP], ids=["refuses", "freezes"])
def test_running_work_goes_on_while_redis_is_away_and_is_told_afterwards(
    stack: JobStack, tmp_path: Path, how: signal.Signals
) -> None:
    trail = tmp_path / "trail"
    stack.worker()
    job = stack.submit(steps=40, seconds=0.02, trail=str(trail))
    stack.running(job)
    stack.redis.send_signal(how)
    beats(stack, job.id, 5)  # more than a lease
    eventually(lambda: steps_in(trail) == list(range(1, 41)), what="work without Redis")
    if how is signal.SIGKILL:
        stack.redis.wait()
        stack.start_redis()
    else:
        stack.redis.send_signal(signal.SIGCONT)
    ended = stack.finished(job)
    assert (ended.state, ended.attempt, ended.lapses, ended.result) == (
        JobState.SUCCEEDED, 1, 0, {"count": 40, "attempt": 1},
    )  # fmt: skip
    assert done_by(stack, job.id) == list(range(1, 41)), "every report once, in order"
    assert stack.manager.files.open_path(stack.manager.artifact(job.id, "result.txt")).read_text() == "40\n"


def test_an_outage_longer_than_allowed_makes_the_job_save_itself_and_go_on_later(folder: Path, tmp_path: Path) -> None:
    trail = tmp_path / "trail"
    with job_stack(folder, lease_s=3, outage_s=1) as stack:
        stack.worker()
        job = stack.submit(steps=60, seconds=0.05, trail=str(trail))
        stack.running(job)
        stack.stop_redis(signal.SIGKILL)
        eventually(lambda: not marked(job.id), what="the job to stop")
        assert len(steps_in(trail)) < 60
        stack.start_redis()
        ended = stack.finished(job)
    assert (ended.state, ended.attempt, ended.lapses) == (JobState.SUCCEEDED, 2, 0)
    assert steps_in(trail) == list(range(1, 61)), "it went on from where it had saved itself"


def test_a_worker_cut_off_from_redis_keeps_its_job_while_it_gives_signs_in_the_store(stack: JobStack) -> None:
    way = stack.folder / "way.sock"
    way.symlink_to(stack.redis_folder / "redis.sock")
    stack.worker(MENTOR_JOBS_REDIS_URL=f"unix://{way}")
    job = stack.submit(steps=1000, seconds=0.05)
    stack.running(job)
    way.unlink()
    stack.manager.store.redis.client_kill_filter(_type="normal", skipme=True)
    reaper = stack.reaper()

    def lapsed() -> bool:
        left = stack.manager.store.lease_left(job.id)
        assert left is not None
        assert reaper.once() == []
        return left[1] < -stack.settings.lease_s

    eventually(lapsed, what="the lease in Redis to be long over")
    way.symlink_to(stack.redis_folder / "redis.sock")
    eventually(lambda: (stack.manager.store.lease_left(job.id) or (0, 0))[1] > 0, what="the lease to be renewed")
    assert stack.manager.get(job.id).attempt == 1


def test_a_reaper_counts_every_silence_from_its_own_beginning(folder: Path) -> None:
    with job_stack(folder, lease_s=1.5) as stack:
        store, reaper = stack.manager.store, stack.reaper()
        job = stack.submit(steps=1)
        claim = store.claim(job.id, "me")
        assert claim is not None
        store.redis.hset(f"mentor:job:{job.id}", "lease_until", "1")
        assert reaper.once() == [], "it has only begun to look"
        store.renew(job.id, claim.fence)
        assert reaper.once() == []
        begun = clock()
        eventually(lambda: clock() - begun > 2, what="more than a lease")
        assert (store.lease_left(job.id) or (0, 0))[1] < 0
        assert reaper.once() == [], "the silence before the renewal does not count"
        eventually(reaper.once, what="the lease to lapse in the end")
        assert clock() - begun > 3.5


def test_a_stopped_worker_loses_its_job_before_its_lease_is_over(folder: Path) -> None:
    with job_stack(folder, lease_s=8, reap_interval_s=600) as stack:
        worker = stack.worker()
        job = stack.submit(steps=1000, seconds=0.05, daemons=True)
        stack.running(job)
        worker.send_signal(signal.SIGSTOP)
        eventually(lambda: not marked(job.id), what="the guardian to act")
        left = stack.manager.store.lease_left(job.id)
        assert left is not None and left[1] > 0
        worker.send_signal(signal.SIGCONT)
        # Awake again, it gives back what it could not keep, and goes on from there.
        eventually(lambda: stack.manager.get(job.id).attempt == 2, what="the second attempt")
        stack.running(job, stack.manager.get(job.id).progress)


def test_a_guardian_kills_at_the_deadline_that_it_was_last_told() -> None:
    reading, writing = os.pipe()
    command = [sys.executable, "-m", "mentor.jobs.guardian", str(reading), "--", "sleep", "600"]
    guardian = subprocess.Popen(command, pass_fds=(reading,))
    os.write(writing, DEADLINE.pack(clock() + 0.1) + DEADLINE.pack(clock() + 3600))
    time.sleep(1)
    assert guardian.poll() is None, "the last word counts"
    os.write(writing, DEADLINE.pack(clock() + 0.1))
    assert guardian.wait(timeout=30) == 128 + signal.SIGKILL
    os.close(writing)
    os.close(reading)


def gone(process: psutil.Process) -> bool:
    """Whether it is dead, reaped or not."""
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def frozen(worker: subprocess.Popen[bytes]) -> dict[str, psutil.Process]:
    """Stop a worker and everything it started, as a machine that is paused does."""
    family = {"worker": psutil.Process(worker.pid)}
    for child in family["worker"].children(recursive=True):
        for role in ("guardian", "runner"):
            if f"mentor.jobs.{role}" in child.cmdline()[:3]:
                family[role] = child
    for process in family.values():
        process.suspend()
    return family


def frozen_between_reports(
    stack: JobStack, job: Job, worker: subprocess.Popen[bytes], trail: Path
) -> dict[str, psutil.Process]:
    """As ``frozen``, at a moment when all its steps are told: its next word, which it is refused, comes after another step."""
    while True:
        family = frozen(worker)
        if steps_in(trail)[-1] == round(stack.manager.get(job.id).progress * job.spec["steps"]):
            return family
        for process in family.values():
            process.resume()
        time.sleep(0.01)


def test_a_frozen_attempt_that_wakes_writes_nothing_into_its_successors_files(stack: JobStack, tmp_path: Path) -> None:
    trail = tmp_path / "trail"
    first = stack.worker("first")
    job = stack.submit(steps=100, seconds=0.03, trail=str(trail))
    stack.running(job, progress=0.05)
    old = frozen_between_reports(stack, job, first, trail)
    assert set(old) == {"worker", "guardian", "runner"}
    stack.worker("second", module="tests.support.other_machine")
    eventually(lambda: stack.manager.get(job.id).attempt == 2, what="another worker to take the job")
    stack.running(job, progress=stack.manager.get(job.id).progress)
    (state,) = [p for p in (stack.folder / "store" / "jobs" / job.id / "state").iterdir() if p.suffix == ""]

    stopped_at = len([line for line in trail.read_text().splitlines() if line.startswith("1 ")])
    old["runner"].resume()  # alone: nobody is there to kill it

    def went_on() -> bool:
        return len([line for line in trail.read_text().splitlines() if line.startswith("1 ")]) > stopped_at

    eventually(went_on, what="the old attempt to go on")
    old["guardian"].resume()
    eventually(lambda: gone(old["runner"]), what="the guardian to act")
    old["worker"].resume()

    ended = stack.finished(job)
    assert (ended.state, ended.attempt, ended.result) == (JobState.SUCCEEDED, 2, {"count": 100, "attempt": 2})
    # The journal is the first attempt's up to where it was frozen, and from there on the second's alone.
    journal = [line.split() for line in (state.with_name(f"{state.name}.left") / "journal").read_text().splitlines()]
    writers = [attempt for attempt, _ in journal]
    assert writers == ["1"] * writers.count("1") + ["2"] * writers.count("2")
    assert writers.count("1") <= stopped_at
    assert sorted({int(step) for _, step in journal}) == list(range(1, 101))
    assert stack.manager.files.open_path(stack.manager.artifact(job.id, "result.txt")).read_text() == "100\n"
    again = stack.submit(steps=2)
    assert stack.finished(again).state is JobState.SUCCEEDED, "and the woken worker works"
