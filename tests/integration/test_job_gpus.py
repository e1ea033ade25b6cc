"""GPUs: shared by lease, and never promised where there are too few."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from mentor.errors import UserError
from mentor.jobs.capacity import visible_gpus
from mentor.jobs.embedded_redis import redis_url, start_redis
from mentor.jobs.gpus import GpuLeases, gpus_wanted
from mentor.jobs.model import JobState
from mentor.jobs.service import build_manager
from mentor.jobs.settings import JobSettings
from mentor.jobs.store import JobStore
from tests.support.job_stack import JobStack, job_stack
from tests.support.toy_job import ToyEvaluator, ToyJob, ToyTeacher, ToyTrainer
from tests.support.waiting import eventually


@pytest.fixture
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JobStack]:
    with job_stack(tmp_path_factory.mktemp("gpus")) as made:
        yield made


def test_gpus_are_shared_by_lease_and_free_again_when_their_job_no_longer_runs(stack: JobStack) -> None:
    store: JobStore = stack.manager.store
    gpus = GpuLeases(store, 2)
    one, two = stack.submit(steps=1), stack.submit(steps=2)
    assert store.claim(one.id, "a") and store.claim(two.id, "b")
    assert gpus.acquire(one.id, 1) == [0]
    assert gpus.acquire(two.id, 2) is None
    assert gpus.acquire(one.id, 1) == [0]
    store.finish(one.id, 1, JobState.FAILED, error="killed without giving anything back")
    assert gpus.acquire(two.id, 2) == [0, 1]
    with pytest.raises(UserError, match="3 GPUs"):
        gpus.acquire(two.id, 3)


def test_more_gpus_than_any_worker_has_are_refused_at_submission(stack: JobStack) -> None:
    assert stack.manager.capacity.most("toy") is None
    queued = stack.submit(gpus=8)  # nobody knows better yet
    stack.manager.cancel(queued.id)
    stack.worker(CUDA_VISIBLE_DEVICES="0,1")
    eventually(lambda: stack.manager.capacity.most("toy") is not None, what="a worker to say what it has")
    with pytest.raises(UserError, match="3 GPUs") as caught:
        stack.submit(gpus=3)
    assert (caught.value.field, caught.value.allowed) == ("gpus", "at most 2 (no worker of kind toy has more)")
    with pytest.raises(UserError, match="8 GPUs"):
        stack.manager.resume(queued.id)
    assert stack.finished(stack.submit(gpus=2, steps=1)).state is JobState.SUCCEEDED


def test_without_a_worker_the_setting_counts(stack: JobStack) -> None:
    settings = stack.settings.model_copy(update={"gpus": 4})
    with pytest.raises(UserError) as caught:
        build_manager([ToyJob()], settings).submit("toy", {"gpus": 5})
    assert caught.value.allowed == "at most 4 (MENTOR_JOBS_GPUS says so; no worker is up)"


def test_a_job_that_finds_fewer_gpus_than_were_promised_fails_and_says_so(stack: JobStack) -> None:
    job = stack.submit(gpus=3)  # while no worker was up
    stack.worker(MENTOR_JOBS_GPUS="2")
    ended = stack.finished(job)
    assert (ended.state, ended.attempt) == (JobState.FAILED, 1)
    assert "3 GPUs" in (ended.error or "")


def test_what_a_spec_takes_of_its_workers_machine() -> None:
    assert gpus_wanted({"n_gpus_per_node": 8, "device": "cuda"}) == 8
    assert gpus_wanted({"n_gpus_per_node": 8, "device": "cpu"}) == 0
    assert gpus_wanted({"n_gpus_per_node": 8, "ray_address": "http://ray:8265"}) == 0
    assert gpus_wanted({"gpus": 1}) == 1
    served = {"path": "/m", "serve": {"engine": "vllm", "tensor_parallel": 2}}
    assert gpus_wanted({"model": served}) == 2 and gpus_wanted({"model": served, "gpus": 4}) == 4
    assert gpus_wanted({"models": [{"model": {"path": "/m"}}, {"model": served}], "gpus": 1}) == 2
    assert gpus_wanted({"model": "/a/folder", "models": None}) == 0


@pytest.mark.parametrize(("named", "number"), [("", 0), ("-1", 0), ("0,1", 2), ("MIG-a", 1)])
def test_visible_devices_are_counted(monkeypatch: pytest.MonkeyPatch, named: str, number: int) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", named)
    assert visible_gpus() == number


def test_three_services_on_one_gpu_take_turns(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("gpu")
    redis = start_redis(folder / "redis")
    settings = JobSettings(
        redis_url=redis_url(folder / "redis"), store=str(folder / "store"), lease_s=3, reap_interval_s=0.5, republish_s=2,
        gpus=1,
    )  # fmt: skip
    span = folder / "span"
    names = {f"MENTOR_JOBS_{k.upper()}": str(v) for k, v in settings.model_dump(exclude_none=True).items()}
    handlers = [ToyTeacher(), ToyTrainer(), ToyEvaluator()]
    manager = build_manager(handlers, settings)
    workers = []
    try:
        for handler in handlers:
            command = [sys.executable, "-m", "mentor.jobs.worker", "--name", handler.kind]
            command += ["--handler", f"tests.support.toy_job:{type(handler).__name__}"]
            log = (folder / f"{handler.kind}.log").open("wb")
            workers.append(subprocess.Popen(command, env=os.environ | names, stdout=log, stderr=subprocess.STDOUT))
        spec = {"steps": 20, "seconds": 0.05, "gpus": 1, "span": str(span)}
        jobs = [manager.submit(handler.kind, spec)[0] for handler in handlers]

        def all_done() -> bool:
            return all(manager.get(job.id).state.final for job in jobs)

        eventually(all_done, 120, what="three jobs on one device")
        assert [manager.get(job.id).state for job in jobs] == [JobState.SUCCEEDED] * 3
        lines = [line.split() for line in span.read_text().splitlines()]
        assert [word for word, _, _ in lines] == ["begin", "end"] * 3, lines
        assert all(lines[n][1] == lines[n + 1][1] for n in (0, 2, 4)), lines
        assert {device for _, _, device in lines} == {"0"}
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()
        redis.terminate()
        redis.wait()
