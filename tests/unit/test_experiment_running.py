"""How a grid is run, with services that are stood in for: what is kept, done once, lost, tried again and found again."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from mentor.errors import InfrastructureError, UserError
from mentor.experiment.keys import run_key
from mentor.experiment.overview import print_status, usable_records
from mentor.experiment.plan import make_plan
from mentor.experiment.records import RunRecord, read_records
from mentor.experiment.running import session
from mentor.experiment.running.metrics import training_steps
from mentor.experiment.running.queue import Queue
from mentor.experiment.running.session import RunOptions, run_experiment
from mentor.experiment.running.work import Work
from mentor.experiment.spec import ExperimentSpec
from mentor.jobs.model import Job, JobState
from tests.support.experiment_grid import grid
from tests.support.experiment_services import Client, Services, recorder, stand_in


@pytest.fixture(autouse=True)
def services(monkeypatch: pytest.MonkeyPatch) -> Services:
    return stand_in(monkeypatch)


def go(spec: ExperimentSpec, folder: Path, stop: threading.Event | None = None, **options: Any) -> Any:
    chosen = RunOptions(work=folder / "work", **options)
    return run_experiment(spec, chosen, Console(quiet=True), stop or threading.Event())


def comparable(spec: ExperimentSpec) -> list[RunRecord]:
    return [record.model_copy(update={"finished": ""}) for record in read_records(Path(spec.results))]


def test_every_run_leaves_a_record_and_what_is_shared_is_done_once(tmp_path: Path, services: Services) -> None:
    spec = grid(tmp_path, lanes=3, grid=[{"methods": ["teacher", "vanilla", "cold", "mentor"], "seeds": [0, 1]}])
    outcome = go(spec, tmp_path)
    assert (len(outcome.through), outcome.failures, outcome.left) == (8, [], 0)
    assert services.submitted == {
        "teacher": 1,
        "train": 2,
        "evaluate": 12,
    }  # 8 sampled; greedy: teacher, vanilla, 2 trained
    records = {record.run.label: record for record in read_records(Path(spec.results))}
    record = records["one.tiny.mentor.s1"]
    assert {name: len(draws) for name, draws in record.evaluations.items()} == {"sampled": 12, "greedy": 6}
    assert record.evaluations["sampled"][0].calls == ("add",) and record.evaluations["sampled"][0].correct
    assert {(q.set, q.group) for q in record.questions} == {("in_domain", "in_domain")}
    assert record.steps == (
        {
            "step": 1.0, "reward": 0.5, "samples": 8.0, "response_tokens": 10.0, "seconds": 4.0, "gen_seconds": 1.0,
            "update_seconds": 2.0, "other_seconds": 1.0,
        },
    )  # fmt: skip
    assert record.tokens["training"] == 80.0 and record.tokens["teacher"] > 0
    assert record.seconds == dict.fromkeys(("teacher", "train", "sampled", "greedy"), 2.5)
    plan = make_plan(spec)
    assert record.made_of["code"] == [plan.code] and set(record.made_of["steps"]) >= {"train", "teacher", "sampled"}
    assert {r.key for r in records.values()} == {run_key(run.content, [plan.code]) for run in plan.runs}


def test_a_second_session_has_nothing_to_do_and_a_third_anew_gives_the_same(tmp_path: Path, services: Services) -> None:
    spec = grid(tmp_path)
    go(spec, tmp_path)
    first, before = comparable(spec), services.submitted.copy()
    assert len(go(spec, tmp_path).through) == 0 and services.submitted == before
    assert len(go(spec, tmp_path, resume=False).through) == 4
    assert services.submitted == {kind: 2 * count for kind, count in before.items()}
    assert comparable(spec) == first


def test_steps_outlive_the_services_store_and_records_the_steps(tmp_path: Path, services: Services) -> None:
    spec = grid(tmp_path)
    go(spec, tmp_path, only=("mentor",))
    services.keys.clear()  # the store is gone
    path = Path(spec.results, "runs", "one.tiny.mentor.s0.json.gz")
    kept = comparable(spec)
    path.unlink()
    submitted = services.submitted.copy()
    go(spec, tmp_path, only=("mentor",))
    assert services.submitted == submitted and comparable(spec) == kept


def test_a_failed_run_is_written_down_loses_nothing_else_and_is_tried_again(tmp_path: Path, services: Services) -> None:
    spec = grid(tmp_path, lanes=2)
    services.ends = lambda job: JobState.FAILED if job.kind == "train" else JobState.SUCCEEDED
    outcome = go(spec, tmp_path)
    assert [run.id.method for run in outcome.through] == ["teacher", "vanilla", "cold"]
    (failure,) = outcome.failures
    assert failure.run.method == "mentor" and failure.step == "train one.tiny.mentor.s0"
    assert failure.job is not None and failure.job in failure.error and "out of memory" in failure.error
    console = recorder()
    print_status(spec, [], tmp_path / "work", console)
    told = console.export_text()
    assert "3 done" in told and "1 failed" in told and "out of memory" in told
    services.ends = lambda job: JobState.SUCCEEDED
    assert [run.id.method for run in go(spec, tmp_path).through] == ["mentor"]
    assert services.resumed == [failure.job]  # it goes on from its checkpoints
    assert Work(tmp_path / "work", "").failure(failure.run) is None


def test_a_step_that_runs_share_fails_all_of_them(tmp_path: Path, services: Services) -> None:
    methods = {"a": {"train": {"reward": "flexible"}}, "b": {"train": {"reward": "sparse"}}}
    spec = grid(tmp_path, methods=methods, grid=[{"methods": ["a", "b", "vanilla"], "seeds": [0]}])
    services.ends = lambda job: JobState.FAILED if job.kind == "teacher" else JobState.SUCCEEDED
    outcome = go(spec, tmp_path)
    assert sorted(failure.run.method for failure in outcome.failures) == ["a", "b"]
    assert services.submitted["teacher"] == 1 and services.submitted["train"] == 0
    assert [run.id.method for run in outcome.through] == ["vanilla"]


def test_a_refused_spec_is_the_runs_failure_and_a_service_that_is_away_ends_the_session(
    tmp_path: Path, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = grid(tmp_path)
    submit = Client.submit

    def refuse(self: Client, kind: str, spec: dict[str, Any], key: str | None = None) -> Job:
        if kind == "train":
            raise UserError("lr: -1 is not possible", field="lr")
        return submit(self, kind, spec, key)

    monkeypatch.setattr(Client, "submit", refuse)
    outcome = go(spec, tmp_path)
    assert [f.error for f in outcome.failures] == ["lr: -1 is not possible"] and len(outcome.through) == 3

    def away(*_: Any, **__: Any) -> Job:
        raise InfrastructureError("cannot reach http://127.0.0.1:9")

    monkeypatch.setattr(Client, "submit", away)
    outcome = go(spec, tmp_path, resume=False, lanes=1)
    assert outcome.away == "cannot reach http://127.0.0.1:9"
    assert (len(outcome.failures), outcome.left) == (1, 3)


def test_a_stopped_session_cancels_its_jobs_and_the_next_one_resumes_them(tmp_path: Path, services: Services) -> None:
    spec = grid(tmp_path)
    stop = threading.Event()

    def ends(job: Job) -> JobState:
        if job.kind == "train":
            stop.set()
            return JobState.RUNNING
        return JobState.SUCCEEDED

    services.ends = ends
    outcome = go(spec, tmp_path, stop, only=("mentor",))
    assert outcome.stopped and outcome.left == 1 and not outcome.failures
    (job,) = services.cancelled
    services.ends = lambda job: JobState.SUCCEEDED
    assert len(go(spec, tmp_path, only=("mentor",)).through) == 1
    assert services.resumed == [job] and services.submitted["train"] == 1


def test_a_killed_sessions_job_is_found_again_under_its_key(tmp_path: Path, services: Services) -> None:
    class Killed(BaseException):
        pass

    def die(job: Job) -> JobState:
        if job.kind == "train":
            raise Killed
        return JobState.SUCCEEDED

    spec = grid(tmp_path)
    services.ends = die
    with pytest.raises(Killed):
        go(spec, tmp_path, only=("mentor",))
    services.ends = lambda job: JobState.SUCCEEDED
    assert len(go(spec, tmp_path, only=("mentor",)).through) == 1
    assert services.submitted == {"teacher": 1, "train": 1, "evaluate": 2} and not services.resumed


def test_after_its_time_a_session_ends_what_has_begun_and_starts_no_other_run(tmp_path: Path) -> None:
    plan = make_plan(grid(tmp_path))
    queue = Queue(plan, plan.runs)
    first = queue.next()
    assert first is not None and first.kind == "evaluation_set"
    queue.close()
    steps = [first]
    through = queue.finish(first)
    while (step := queue.next()) is not None:
        steps.append(step)
        through += queue.finish(step)
    assert [run.id.method for run in through] == ["teacher"] and len(steps) == 3
    assert [run.id.method for run in queue.left] == ["vanilla", "cold", "mentor"]


def test_other_code_makes_records_stale_unless_any_will_do(
    tmp_path: Path, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = grid(tmp_path)
    go(spec, tmp_path)
    submitted = services.submitted.copy()
    for place in ("mentor.experiment.plan.code_version", "mentor.experiment.running.work.code_version"):
        monkeypatch.setattr(place, lambda: "f" * 64)
    assert len(go(spec, tmp_path, any_code=True).through) == 0
    console = recorder()
    assert len(usable_records(spec, console)) == 0
    assert len(usable_records(spec, console, any_code=True)) == 4
    assert "4 stale code" in console.export_text()
    assert len(go(spec, tmp_path).through) == 4
    assert services.submitted == {kind: 2 * count for kind, count in submitted.items()}


def test_a_run_of_steps_by_several_versions_of_the_code_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = grid(tmp_path)
    go(spec, tmp_path, only=("mentor",))
    old = make_plan(spec).code
    Path(spec.results, "runs", "one.tiny.mentor.s0.json.gz").unlink()
    for place in ("mentor.experiment.plan.code_version", "mentor.experiment.running.work.code_version"):
        monkeypatch.setattr(place, lambda: "f" * 64)
    changed = grid(tmp_path, greedy=False)
    assert len(go(changed, tmp_path, only=("mentor",), any_code=True).through) == 1
    (record,) = read_records(Path(spec.results))
    assert record.made_of["code"] == [old]
    defaults = {"defaults": {**spec.defaults.model_dump(), "evaluate": {"samples": 1}}}
    again = grid(tmp_path, **defaults)
    assert len(go(again, tmp_path, only=("mentor",), any_code=True).through) == 1
    (record,) = read_records(Path(spec.results))
    assert record.made_of["code"] == sorted([old, "f" * 64])
    run = make_plan(again, ["mentor"]).runs[0]
    assert record.key == run_key(run.content, [old, "f" * 64])


def test_a_step_is_whole_or_absent(tmp_path: Path) -> None:
    plan = make_plan(grid(tmp_path))
    work = Work(tmp_path / "work", plan.code)
    step = next(iter(plan.steps.values()))
    with pytest.raises(RuntimeError), work.making(step) as (folder, _):
        (folder / "questions.jsonl").write_text("half")
        raise RuntimeError
    assert work.find(step.content) is None and not list((tmp_path / "work").glob(".staging*"))
    with work.making(step) as (folder, _):
        (folder / "questions.jsonl").write_text("whole")
    assert work.output(step.content, "questions.jsonl").read_text() == "whole"


def test_steps_without_a_file_or_of_validation_alone_are_none(tmp_path: Path) -> None:
    assert training_steps(tmp_path / "none.jsonl") == ()
    (tmp_path / "metrics.jsonl").write_text(json.dumps({"step": 0, "data": {"val-core/x": 1.0}}) + "\n")
    assert training_steps(tmp_path / "metrics.jsonl") == ()


def test_the_work_folder_is_the_experiments_own_unless_it_is_given(tmp_path: Path) -> None:
    spec = grid(tmp_path)
    assert session.work_folder(spec, None).parts[-3:] == (".mentor", "experiments", "small")
    assert session.work_folder(spec, tmp_path) == tmp_path
