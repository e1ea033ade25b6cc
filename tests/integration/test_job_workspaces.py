"""Resumable state handed from attempt to attempt, and reports kept while Redis is away."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from mentor.jobs.artifacts import ArtifactStore
from mentor.jobs.model import Artifact, JobState
from mentor.jobs.outbox import Outbox
from mentor.jobs.places import copy_tree
from mentor.jobs.store import JobStore, LeaseLostError
from mentor.jobs.workspace import Workspace
from tests.integration.test_job_files import at_once
from tests.support.job_stack import JobStack, job_stack

LIMIT = 200


@pytest.fixture
def files(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(str(tmp_path / "store"))


def attempt(files: ArtifactStore, fence: int) -> Workspace:
    return Workspace(files, "toy-1", fence)


def states(files: ArtifactStore) -> list[str]:
    return sorted(path.name for path in (files.local / "jobs" / "toy-1" / "state").iterdir())


def test_what_a_finished_attempt_left_is_moved_not_copied(files: ArtifactStore) -> None:
    first = attempt(files, 1)
    (first.take_over() / "checkpoint").write_text("step 1")
    inode = (files.local / "jobs/toy-1/state/1/checkpoint").stat().st_ino
    first.seal()
    second = attempt(files, 3).take_over()
    assert ((second / "checkpoint").read_text(), (second / "checkpoint").stat().st_ino) == ("step 1", inode)
    assert states(files) == ["3"]


def test_an_attempt_that_may_still_live_keeps_nothing_of_what_the_next_one_has(files: ArtifactStore) -> None:
    old = attempt(files, 1).take_over()
    held = (old / "journal").open("a", buffering=1)
    held.write("old\n")
    new = attempt(files, 2).take_over()
    held.write("late, through what it held open\n")
    old.mkdir(parents=True)
    (old / "journal").write_text("late, by its path\n")
    assert (new / "journal").read_text() == "old\n"
    attempt(files, 1).seal()  # what it made anew counts for nothing
    assert (attempt(files, 3).take_over() / "journal").read_text() == "old\n"
    assert states(files) == ["3"]


def test_a_take_over_that_was_killed_is_done_again(files: ArtifactStore) -> None:
    old = attempt(files, 1).take_over()
    (old / "checkpoint").write_text("step 1")
    old.rename(old.with_name("1.taken"))  # as far as attempt 2 came
    old.mkdir()
    assert (attempt(files, 3).take_over() / "checkpoint").read_text() == "step 1"


def test_the_state_of_a_job_from_before_attempts_had_folders_is_taken_over(files: ArtifactStore) -> None:
    legacy = files.local / "jobs" / "toy-1" / "work"
    legacy.mkdir(parents=True)
    (legacy / "checkpoint").write_text("step 1")
    assert (attempt(files, 2).take_over() / "checkpoint").read_text() == "step 1"


def test_of_attempts_that_take_over_at_once_the_last_has_it_whole(files: ArtifactStore, tmp_path: Path) -> None:
    source = tmp_path / "source"
    for n in range(30):
        (source / f"{n % 5}").mkdir(parents=True, exist_ok=True)
        (source / f"{n % 5}" / f"{n}").write_text(f"{n}")
    own = attempt(files, 1).take_over()
    copy_tree(source, own / "checkpoint")
    for fence in range(2, 42, 2):
        assert at_once(attempt(files, fence).take_over, attempt(files, fence + 1).take_over) == []
        last = files.local / "jobs" / "toy-1" / "state" / str(fence + 1)
        assert len([path for path in last.rglob("*") if path.is_file()]) == 30


def test_a_remote_root_gives_the_next_attempt_the_last_whole_save(tmp_path: Path) -> None:
    files = ArtifactStore(f"memory://workspaces-{tmp_path.name}", scratch=str(tmp_path / "scratch"))
    first = attempt(files, 1)
    work = first.take_over()
    (work / "checkpoint").write_text("step 1")
    first.save()
    (work / "checkpoint").write_text("step 2, never saved")
    elsewhere = ArtifactStore(files.root, scratch=str(tmp_path / "elsewhere"))
    assert (attempt(elsewhere, 2).take_over() / "checkpoint").read_text() == "step 1"
    (work / "checkpoint").write_text("step 3, saved by an attempt that is over")
    attempt(elsewhere, 2).save()
    first.save()
    assert (attempt(files, 3).take_over() / "checkpoint").read_text() == "step 1"


@pytest.fixture
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JobStack]:
    with job_stack(tmp_path_factory.mktemp("outbox")) as made:
        yield made


def outbox(stack: JobStack) -> tuple[Outbox, str]:
    """An outbox of a claimed job."""
    job = stack.submit(steps=1)
    claim = stack.manager.store.claim(job.id, "me")
    assert claim is not None
    quick = JobStore(stack.settings.redis_url, lease_s=stack.settings.lease_s, answer_s=1.0)
    return Outbox(quick, job.id, "toy", claim.fence, limit=LIMIT), job.id


def test_an_outbox_keeps_what_matters_while_redis_is_away_and_tells_it_in_order(stack: JobStack) -> None:
    box, job_id = outbox(stack)
    stack.stop_redis()
    box.commit(Artifact(name="model", path="x", bytes=1, sha256="0", fence=1))
    for n in range(LIMIT + 50):
        box.record("progress", {"fraction": n}, {"progress": n})
    for step in range(LIMIT + 50):
        box.record("progress", {"step": step}, {"metrics": {"step": step}})
        box.count("mentor_training_steps", {}, 1)
    assert not box.flush(lambda: True), "nobody has heard it"
    stack.start_redis()
    assert box.flush(lambda: False)
    steps = [int(e.data["step"]) for e in stack.manager.store.events(job_id, limit=30_000) if "step" in e.data]
    assert steps[-1] == LIMIT + 49
    assert steps == sorted(set(steps))
    assert [artifact.name for artifact in stack.manager.store.artifacts(job_id)] == ["model"]
    assert stack.manager.store.counts("mentor_training_steps") == {'["toy"]': LIMIT + 50}


def test_an_outbox_says_that_the_job_has_passed_on(stack: JobStack) -> None:
    box, job_id = outbox(stack)
    box.record("log", {"message": "mine"})
    assert box.flush(lambda: False)
    assert stack.manager.store.release(job_id, 1)
    assert stack.manager.store.claim(job_id, "another") is not None
    box.record("log", {"message": "late"})
    with pytest.raises(LeaseLostError):
        box.flush(lambda: False)
    with pytest.raises(LeaseLostError):
        box.record("log", {"message": "later"})
    messages = [event.data["message"] for event in stack.manager.events(job_id, 0, 0) if event.type == "log"]
    assert messages == ["mine"]


def test_kills_of_redis_lose_nothing_that_was_acknowledged(stack: JobStack) -> None:
    """Submissions, checkpoints reported, and artefacts, while Redis is killed again and again."""
    job = stack.submit(steps=1)
    claim = stack.manager.store.claim(job.id, "me")
    assert claim is not None
    ended = threading.Event()
    submitted: dict[str, int] = {}
    reported: list[int] = []
    committed: list[str] = []

    def submit() -> None:
        number = 0
        while not ended.is_set():
            number += 1
            made, created = stack.manager.store.submit("toy", {"steps": number}, key=f"key-{number}")
            assert created
            submitted[made.id] = number

    def report() -> None:
        step = 0
        while not ended.is_set():
            step += 1
            stack.manager.store.record(job.id, 1, "progress", {"step": step}, token=f"{step}", message=str(step))
            reported.append(step)
            name = f"checkpoint-{step}"
            stack.manager.store.commit(job.id, Artifact(name=name, path=name, bytes=1, sha256="0", fence=1))
            committed.append(name)

    def kill() -> None:
        for _ in range(6):
            goal = len(submitted) + 20
            while len(submitted) < goal:
                threading.Event().wait(0.005)
            stack.stop_redis(9)
            stack.start_redis()
        ended.set()

    assert at_once(*map(partial, (submit, report, kill))) == []
    jobs = {made.id: made.spec["steps"] for made in stack.manager.store.newest("toy", None, 1_000_000)}
    assert {made: jobs.get(made) for made in submitted} == submitted
    assert len(jobs) == len(submitted) + 1, "and none twice"
    steps = [e.data["step"] for e in stack.manager.store.events(job.id, limit=1_000_000) if e.type == "progress"]
    assert steps == reported
    assert {a.name for a in stack.manager.store.artifacts(job.id)} == set(committed)
    assert stack.manager.get(job.id).state is JobState.RUNNING


def test_what_redis_acknowledges_is_on_disk(stack: JobStack) -> None:
    deployed = Path("deploy/redis/redis.conf").read_text().splitlines()
    assert {"appendonly yes", "appendfsync always", "maxmemory-policy noeviction"} <= set(deployed)
    assert stack.manager.store.redis.config_get("append*") | {} == {
        "appendonly": "yes", "appendfsync": "always", "appendfilename": "appendonly.aof",
    }  # fmt: skip
