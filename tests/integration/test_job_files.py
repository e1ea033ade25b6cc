"""Files of jobs: uploads and what is forgotten, under many hands at once."""

from __future__ import annotations

import contextlib
import os
import shutil
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from mentor.errors import NotFoundError, UserError
from mentor.jobs.artifacts import ArtifactStore, measure
from mentor.jobs.model import Job, JobState
from mentor.jobs.references import resolve
from mentor.jobs.uploads import Uploads
from tests.support.job_stack import JobStack, job_stack


@pytest.fixture
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JobStack]:
    with job_stack(tmp_path_factory.mktemp("jobs")) as made:
        yield made


@pytest.fixture
def files(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(str(tmp_path / "store"))


def at_once(*calls: Callable[[], object]) -> list[Exception]:
    """Run calls side by side, begun at the same moment; returns what they raised."""
    barrier, raised = threading.Barrier(len(calls)), []

    def run(call: Callable[[], object]) -> None:
        barrier.wait()
        try:
            call()
        except Exception as error:
            raised.append(error)

    threads = [threading.Thread(target=run, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return raised


def folder_with(place: Path, word: str, number: int = 20) -> Path:
    """A folder of some files."""
    (place / "inner").mkdir(parents=True)
    for n in range(number):
        (place / "inner" / f"{n}.txt").write_text(f"{word} {n}\n" * 50)
    return place


def test_an_uploaded_file_and_folder_are_named_by_content_and_reach_the_job(stack: JobStack, tmp_path: Path) -> None:
    uploads = Uploads(stack.manager.files)
    scratch = uploads.scratch()
    body = scratch / "body"
    body.write_text("3\n")
    first = uploads.add(body, "steps.txt")
    assert uploads.add(body, "steps.txt") == first
    assert uploads.known(first.sha256, "steps.txt")
    resolved = resolve({"file": first.reference, "list": [first.reference]}, stack.manager.store, stack.manager.files)
    assert Path(resolved["file"]).read_text() == "3\n"
    assert resolved["list"] == [resolved["file"]]
    assert uploads.forget(before=0) == []
    assert uploads.forget(before=time.time() + 60) == [first.sha256]
    with pytest.raises(UserError, match="is not in the store"):
        resolve({"file": first.reference}, stack.manager.store, stack.manager.files)


@pytest.mark.parametrize("name", ["", "..", "a/b", "/etc/passwd", "x" * 300])
def test_an_upload_has_a_plain_name(stack: JobStack, tmp_path: Path, name: str) -> None:
    file = tmp_path / "body"
    file.write_text("x")
    with pytest.raises(UserError, match="file name"):
        Uploads(stack.manager.files).add(file, name)


def test_an_archive_that_points_outside_itself_is_refused(stack: JobStack, tmp_path: Path) -> None:
    archive = tmp_path / "body"
    with tarfile.open(archive, "w") as tar:
        entry = tarfile.TarInfo("../outside")
        entry.size = 0
        tar.addfile(entry)
    with pytest.raises(UserError, match="tar archive"):
        Uploads(stack.manager.files).add(archive, "model", folder=True)
    assert not (tmp_path.parent / "outside").exists()


def send(uploads: Uploads, source: Path) -> None:
    """What the API does with a body that came in; AssertionError unless it is there when the client is told so."""
    scratch = uploads.scratch()
    body = scratch / "body"
    if source.is_dir():
        with tarfile.open(body, "w") as tar:
            tar.add(source, arcname=".")
    else:
        shutil.copyfile(source, body)
    stored = uploads.add(body, "name", folder=source.is_dir())
    shutil.rmtree(scratch)
    assert measure(uploads.path(stored.reference, "field")) == measure(source)


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_clients_that_send_the_same_at_once_all_find_it_stored(files: ArtifactStore, tmp_path: Path, kind: str) -> None:
    uploads = Uploads(files)
    for turn in range(60):
        folder = folder_with(tmp_path / f"source-{turn}", f"turn {turn}", 3)
        source = folder if kind == "folder" else folder / "inner" / "0.txt"
        assert at_once(*[partial(send, uploads, source)] * 3) == []
        assert measure(uploads.path(f"file:{measure(source)[1]}/name", "field")) == measure(source)
    assert [entry.name for entry in files.local.iterdir()] == ["files"], "nothing is left over"


def test_what_is_sent_while_it_is_forgotten_is_stored_all_the_same(files: ArtifactStore, tmp_path: Path) -> None:
    uploads = Uploads(files)
    source = folder_with(tmp_path / "source", "word", 3)
    send(uploads, source)
    place = files.local / "files" / measure(source)[1]
    for _ in range(60):
        with contextlib.suppress(FileNotFoundError):
            os.utime(place, (1000, 1000))
        forget = partial(uploads.forget, time.time() - 60)
        assert at_once(partial(send, uploads, source), forget, forget) == []
    assert uploads.known(measure(source)[1], "name")


def test_what_broke_off_long_ago_is_swept_up(files: ArtifactStore) -> None:
    uploads = Uploads(files)
    left = uploads.scratch()
    (left / "body").write_text("half")
    os.utime(left, (1000, 1000))
    receiving = uploads.scratch()
    uploads.forget(time.time() - 60)
    assert (left.exists(), receiving.exists()) == (False, True)


def ended_long_ago(stack: JobStack) -> Job:
    """A job that ended before the retention, with files."""
    job = stack.submit(steps=1)
    claim = stack.manager.store.claim(job.id, "test")
    assert claim is not None
    folder_with(stack.folder / "store" / "jobs" / job.id / "work", job.id)
    stack.manager.store.finish(job.id, claim.fence, JobState.SUCCEEDED, result={})
    stack.manager.store.redis.hset(f"mentor:job:{job.id}", "finished_at", "1000")
    return job


def test_old_jobs_are_forgotten_with_their_files_by_one_of_many_reapers(stack: JobStack) -> None:
    recent = stack.submit(steps=1)
    for _ in range(15):
        jobs = [ended_long_ago(stack).id for _ in range(3)]
        forgotten: list[str] = []

        def reap(forgotten: list[str] = forgotten) -> None:
            forgotten += stack.reaper().forget_old()

        assert at_once(reap, reap, reap) == []
        assert sorted(forgotten) == sorted(jobs)
    assert list((stack.folder / "store" / "jobs").iterdir()) == []
    assert [job.id for job in stack.manager.newest(None, None, 10)] == [recent.id]
    with pytest.raises(NotFoundError):
        stack.manager.get(jobs[0])


def test_files_that_a_killed_reaper_left_go_with_the_next_round(stack: JobStack) -> None:
    job = ended_long_ago(stack)
    assert stack.manager.store.forget(job, time.time())
    assert (stack.folder / "store" / "jobs" / job.id).exists()
    assert stack.reaper().forget_old() == []
    assert not (stack.folder / "store" / "jobs" / job.id).exists()
    assert stack.manager.store.removed() == []
