"""Jobs on a real Redis with real workers: exactly once, whatever is killed, restarted or delivered twice."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest
from prometheus_client import CollectorRegistry, generate_latest

from mentor.errors import ConflictError, NotFoundError, UserError
from mentor.jobs.counters import CounterCollector, counter
from mentor.jobs.model import SCHEMA_VERSION, JobState
from mentor.jobs.processes import ATTEMPT_VARIABLE, marked
from mentor.jobs.store import LeaseLostError
from mentor.jobs.supervisor import Supervisor
from mentor.rpc.context import new_traceparent, trace_id_of, traceparent
from mentor.serving.vitals import Vitals
from tests.support.job_stack import JobStack, job_stack
from tests.support.toy_job import steps_in
from tests.support.waiting import eventually


@pytest.fixture
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JobStack]:
    with job_stack(tmp_path_factory.mktemp("jobs")) as made:
        yield made


def test_a_job_runs_reports_progress_and_commits_its_result(stack: JobStack) -> None:
    stack.worker()
    job = stack.finished(stack.submit(steps=4))
    assert (job.state, job.result, job.attempt) == (JobState.SUCCEEDED, {"count": 4, "attempt": 1}, 1)
    events = stack.manager.events(job.id, 0, 0)
    assert [e.data["state"] for e in events if e.type == "state"] == ["queued", "running", "succeeded"]
    assert [e.data["metrics"]["done"] for e in events if e.type == "progress"] == [1, 2, 3, 4]
    assert [e.sequence for e in events] == list(range(1, len(events) + 1))
    artifact = stack.manager.artifact(job.id, "result.txt")
    assert stack.manager.files.open_path(artifact).read_text() == "4\n"
    assert b"counted 4" in b"".join(stack.manager.log_tail(job.id, 10))


def test_the_same_key_gives_the_same_job_and_another_spec_is_refused(stack: JobStack) -> None:
    first, created = stack.manager.submit("toy", {"steps": 2}, "k1")
    again, created_again = stack.manager.submit("toy", {"steps": 2}, "k1")
    assert (created, created_again, again.id) == (True, False, first.id)
    with pytest.raises(ConflictError, match="k1"):
        stack.manager.submit("toy", {"steps": 3}, "k1")


@pytest.mark.parametrize(
    ("spec", "field"), [({"steps": 0}, "steps"), ({"stepz": 1}, "stepz"), ({"refuse": True}, "refuse")]
)
def test_a_bad_spec_is_refused_before_anything_is_stored(stack: JobStack, spec: dict[str, object], field: str) -> None:
    with pytest.raises(UserError) as caught:
        stack.manager.submit("toy", spec)
    assert caught.value.field == field
    assert stack.manager.newest(None, None, 10) == []


def test_unknown_jobs_kinds_and_filters_are_refused(stack: JobStack) -> None:
    with pytest.raises(NotFoundError):
        stack.manager.get("toy-unknown")
    with pytest.raises(UserError, match="kind"):
        stack.manager.submit("teach", {})
    with pytest.raises(UserError, match="limit"):
        stack.manager.newest(None, None, 0)


@pytest.mark.parametrize(("fail", "error"), [("user", "model: the path is wrong"), ("bug", "RuntimeError: a bug")])
def test_a_failing_job_says_why_in_one_line(stack: JobStack, fail: str, error: str) -> None:
    stack.worker()
    job = stack.finished(stack.submit(fail=fail))
    assert (job.state, job.error, job.attempt) == (JobState.FAILED, error, 1)


def test_a_message_delivered_twice_runs_once(stack: JobStack, tmp_path: Path) -> None:
    job = stack.submit(steps=5, trail=str(tmp_path / "trail"))
    for _ in range(3):
        stack.manager.publisher.publish(job.id, "toy")
    stack.worker("a")
    stack.worker("b")
    assert stack.finished(job).attempt == 1
    assert steps_in(tmp_path / "trail") == [1, 2, 3, 4, 5]


def test_a_job_whose_message_is_lost_is_published_again(stack: JobStack) -> None:
    job = stack.submit(steps=1)
    stack.manager.store.redis.delete("mentor:broker:mentor.jobs.toy")
    stack.worker()
    assert stack.finished(job).state is JobState.SUCCEEDED


def test_kill_9_of_a_worker_leaves_nothing_alive_and_another_worker_goes_on(stack: JobStack, tmp_path: Path) -> None:
    trail = tmp_path / "trail"
    first = stack.worker("first")
    job = stack.submit(steps=60, seconds=0.1, trail=str(trail), daemons=True)
    stack.running(job, progress=0.05)
    doomed = marked(job.id)
    assert len(doomed) >= 4  # guardian, runner, two daemons
    first.send_signal(signal.SIGKILL)
    psutil.wait_procs(doomed, timeout=30)
    assert [p for p in doomed if p.is_running() and p.status() != psutil.STATUS_ZOMBIE] == []
    stack.worker("second")
    ended = stack.finished(job)
    assert (ended.state, ended.attempt, ended.lapses) == (JobState.SUCCEEDED, 2, 1)
    # A step is at most repeated where the kill fell between doing and noting it.
    assert len(steps_in(trail)) <= 61
    assert sorted(set(steps_in(trail))) == list(range(1, 61))


def test_what_outlives_its_guardian_is_dead_before_the_next_attempt(stack: JobStack) -> None:
    worker = stack.worker("first")
    job = stack.submit(steps=60, seconds=0.1, daemons=True)
    stack.running(job, progress=0.02)
    family = marked(job.id)
    guardians = [p for p in family if "mentor.jobs.guardian" in p.cmdline()]
    worker.send_signal(signal.SIGKILL)
    for guardian in guardians:
        guardian.send_signal(signal.SIGKILL)
    orphans = [p for p in family if p not in guardians]
    stack.worker("second")
    stack.finished(job)
    assert [p for p in orphans if p.is_running() and p.status() != psutil.STATUS_ZOMBIE] == []


def test_cancelling_stops_a_running_job_and_all_it_started(stack: JobStack) -> None:
    stack.worker()
    job = stack.submit(steps=1000, seconds=0.1, daemons=True)
    stack.running(job)
    stack.manager.cancel(job.id)
    assert stack.finished(job).state is JobState.CANCELLED
    assert marked(job.id) == []
    with pytest.raises(UserError) as caught:
        stack.manager.publisher.publish(job.id, "toy")
        stack.manager.submit("toy", {"steps": 0})
    assert caught.value.field == "steps"


def test_cancelling_a_queued_job_ends_it_at_once_and_a_finished_one_is_refused(stack: JobStack) -> None:
    job = stack.submit(steps=1)
    assert stack.manager.cancel(job.id).state is JobState.CANCELLED
    stack.worker()
    done = stack.finished(stack.submit(steps=1))
    with pytest.raises(ConflictError):
        stack.manager.cancel(done.id)
    assert stack.manager.get(job.id).attempt == 0


def test_sigterm_of_a_worker_gives_the_job_back_and_it_goes_on_where_it_stood(stack: JobStack, tmp_path: Path) -> None:
    trail = tmp_path / "trail"
    first = stack.worker("first")
    job = stack.submit(steps=40, seconds=0.1, trail=str(trail))
    stack.running(job, progress=0.05)
    first.terminate()
    assert first.wait(timeout=60) == 0
    given_back = stack.manager.get(job.id)
    assert (given_back.state, given_back.lapses) == (JobState.QUEUED, 0)
    stack.worker("second")
    assert stack.finished(job).state is JobState.SUCCEEDED
    assert steps_in(trail) == list(range(1, 41))


def test_a_restart_of_redis_loses_no_job(stack: JobStack, tmp_path: Path) -> None:
    queued = stack.submit(steps=2, trail=str(tmp_path / "queued"))
    stack.stop_redis()
    stack.start_redis()
    stack.worker()
    running = stack.submit(steps=40, seconds=0.1, trail=str(tmp_path / "running"))
    stack.finished(queued)
    stack.running(running, progress=0.1)
    stack.stop_redis()
    stack.start_redis()
    assert stack.finished(running).state is JobState.SUCCEEDED
    assert sorted(set(steps_in(tmp_path / "running"))) == list(range(1, 41))


def test_an_attempt_that_lost_its_lease_can_commit_nothing(stack: JobStack, tmp_path: Path) -> None:
    job = stack.submit(steps=1)
    claim = stack.manager.store.claim(job.id, "me")
    assert claim is not None
    assert stack.manager.store.claim(job.id, "you") is None
    stack.manager.store.redis.hset(f"mentor:job:{job.id}", "lease_until", "1")
    assert stack.manager.store.reap(job.id, claim.fence)
    second = stack.manager.store.claim(job.id, "you")
    assert second is not None and second.fence > claim.fence
    file = tmp_path / "late.txt"
    file.write_text("late")
    with pytest.raises(LeaseLostError):
        stack.manager.store.commit(job.id, stack.manager.files.put(job.id, "late.txt", file, claim.fence))
    assert stack.manager.store.artifacts(job.id) == []
    assert not stack.manager.store.finish(job.id, claim.fence, JobState.SUCCEEDED, result={})


def test_a_job_that_keeps_killing_its_workers_fails_in_the_end(stack: JobStack) -> None:
    job = stack.submit(steps=1)
    for _ in range(stack.settings.max_lapses):
        claim = stack.manager.store.claim(job.id, "doomed")
        assert claim is not None
        stack.manager.store.redis.hset(f"mentor:job:{job.id}", "lease_until", "1")
        stack.manager.store.reap(job.id, claim.fence, stack.settings.max_lapses)
    ended = stack.manager.get(job.id)
    assert (ended.state, ended.error) == (JobState.FAILED, "its worker died 5 times")
    assert stack.manager.resume(job.id).lapses == 0
    claim = stack.manager.store.claim(job.id, "doomed")
    assert claim is not None
    assert stack.manager.store.release(job.id, claim.fence, died="out of memory", most=2)
    claim = stack.manager.store.claim(job.id, "doomed")
    assert claim is not None
    assert not stack.manager.store.release(job.id, claim.fence, died="out of memory", most=2)
    assert stack.manager.get(job.id).error == "gave up after 2 deaths: out of memory"


def test_deaths_between_which_a_job_comes_further_are_no_crash_loop(stack: JobStack) -> None:
    job, store = stack.submit(steps=1), stack.manager.store
    for progress in (0.1, 0.2, 0.3, 0.3):
        claim = store.claim(job.id, "me")
        assert claim is not None
        store.record(job.id, claim.fence, "progress", {"fraction": progress}, progress=progress)
        queued = store.release(job.id, claim.fence, died="out of memory", most=2)
    assert not queued, "the last time it died where it had died before"
    assert stack.manager.get(job.id).error == "gave up after 2 deaths: out of memory"


def test_a_failed_job_goes_on_from_its_checkpoint_when_it_is_resumed(stack: JobStack, tmp_path: Path) -> None:
    stack.worker()
    job = stack.finished(stack.submit(steps=6, fail_at=4, trail=str(tmp_path / "trail")))
    assert (job.state, job.error) == (JobState.FAILED, "the sandbox is gone")
    queued = stack.manager.resume(job.id)
    assert (queued.state, queued.error, queued.finished_at) == (JobState.QUEUED, None, None)
    ended = stack.finished(job)
    assert (ended.id, ended.state, ended.attempt) == (job.id, JobState.SUCCEEDED, 2)
    assert steps_in(tmp_path / "trail") == [1, 2, 3, 4, 5, 6]
    with pytest.raises(ConflictError, match="succeeded"):
        stack.manager.resume(job.id)


def test_a_cancelled_job_can_be_resumed_and_cancelled_again(stack: JobStack) -> None:
    job = stack.submit(steps=1)
    stack.manager.cancel(job.id)
    assert stack.manager.resume(job.id).state is JobState.QUEUED
    assert stack.manager.store.unfinished() == [job.id]
    assert stack.manager.cancel(job.id).state is JobState.CANCELLED


def test_the_attempt_mark_reaches_every_process_of_a_job(stack: JobStack) -> None:
    stack.worker()
    job = stack.submit(steps=200, seconds=0.1, daemons=True)
    stack.running(job)
    marks = {p.environ()[ATTEMPT_VARIABLE] for p in marked(job.id)}
    assert marks == {f"{job.id}:1"}
    stack.manager.cancel(job.id)
    stack.finished(job)


def test_what_jobs_count_outlives_them_and_is_exported_by_any_service(stack: JobStack) -> None:
    labels = {"tool": "add", "outcome": "ok"}
    job = stack.submit(steps=1)
    assert stack.manager.store.claim(job.id, "me")
    for _ in range(2):  # said twice, because the answer was lost
        mine, another = counter("toy", "mentor_tool_calls", labels), counter("other", "mentor_tool_calls", labels)
        stack.manager.store.count(job.id, 1, {mine: 3.0, another: 1.0}, token="once")
    registry = CollectorRegistry()
    registry.register(CounterCollector(stack.manager.store, ["toy"]))
    text = generate_latest(registry).decode()
    assert 'mentor_tool_calls_total{kind="toy",outcome="ok",tool="add"} 3.0' in text
    assert "other" not in text
    with pytest.raises(KeyError):
        counter("toy", "mentor_unheard_of", {})


def test_a_worker_leaves_jobs_of_a_later_schema_to_newer_workers(stack: JobStack) -> None:
    job = stack.submit(steps=1)
    stack.manager.store.redis.hset(f"mentor:job:{job.id}", "schema_version", SCHEMA_VERSION + 1)
    supervisor = Supervisor(stack.settings, {"toy": "tests.support.toy_job:ToyJob"}, Vitals(CollectorRegistry()))
    assert supervisor.run(job.id) == "skipped"
    assert stack.manager.get(job.id).state is JobState.QUEUED


def test_a_jobs_calls_carry_the_trace_of_who_submitted_it(stack: JobStack) -> None:
    trace = new_traceparent()
    token = traceparent.set(trace)
    try:
        job = stack.submit(steps=1, span=str(stack.folder / "span"))
    finally:
        traceparent.reset(token)
    stack.worker()
    stack.finished(job)
    assert (stack.folder / "span").read_text().splitlines()[-1].startswith("end toy")
    assert trace_id_of(stack.manager.get(job.id).traceparent or "") == trace_id_of(trace)
    assert (stack.folder / "span.trace").read_text() == trace_id_of(trace)


def test_an_attempt_that_cannot_be_started_is_tried_again_at_once_and_says_why_in_the_end(stack: JobStack) -> None:
    job = stack.submit(steps=1)
    logs = stack.folder / "store" / "jobs" / job.id / "logs"
    logs.parent.mkdir(parents=True)
    logs.write_text("a file where a folder is needed")
    settings = stack.settings.model_copy(update={"max_lapses": 2})
    supervisor = Supervisor(settings, {"toy": "tests.support.toy_job:ToyJob"}, Vitals(CollectorRegistry()))
    assert supervisor.run(job.id) == "infrastructure"
    assert (stack.manager.get(job.id).state, stack.manager.get(job.id).lapses) == (JobState.QUEUED, 1)
    assert supervisor.run(job.id) == "infrastructure"
    ended = stack.manager.get(job.id)
    assert ended.state is JobState.FAILED
    assert "gave up after 2 deaths: cannot start: " in (ended.error or "")


def test_a_worker_tells_of_its_threads_and_of_its_jobs_lease(stack: JobStack) -> None:
    stack.worker("toy", "--metrics-port", "0")

    def address() -> str:
        found = re.search(r"http://127[0-9.:]+", stack.log(0).read_text())
        return found[0] if found else ""

    url = eventually(address, what="the worker to listen")
    job = stack.submit(steps=1000, seconds=0.05)
    stack.running(job)
    text = httpx.get(f"{url}/metrics", trust_env=False).text
    alive = set(re.findall(r'mentor_thread_alive{thread="([^"]+)"} 1.0', text))
    assert alive == {"consumer", "reaper", "worker", "lease"}
    assert httpx.get(f"{url}/health", trust_env=False).json() == {"status": "ok", "threads": {}}
