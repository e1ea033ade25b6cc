"""The whole system as local processes: jobs of every kind, bad input, outages, and nothing left behind."""

from __future__ import annotations

import json
import signal
import tarfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from mentor.analysis import executed_by_backend
from mentor.data import iter_trajectories, read_questions
from mentor.errors import ConflictError, MentorError, UserError
from mentor.jobs.model import Job, JobState
from mentor.local.accounting import scrape
from mentor.local.layout import StackSpec, process_specs
from mentor.local.stack import alive, down, load_state, status, up
from tests.docs.blocks import blocks
from tests.support.stack import TINY, backends, client, free_stack, mentor, teacher_model
from tests.support.waiting import eventually

SMALL = {"sampling": {"temperature": 1.0, "max_tokens": 256, "seed": 0}, "limits": {"max_response_tokens": 768}}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StackSpec]:
    spec = free_stack(tmp_path_factory.mktemp("stack"))
    up(spec)
    yield spec
    down(spec)


def run(stack: StackSpec, kind: str, **spec: Any) -> Job:
    jobs = client(stack, kind)
    if kind != "train":
        spec = {**SMALL, "backends": backends(stack), **spec}
    return jobs.wait(jobs.submit(kind, spec).id)


def test_everything_is_up_and_ready_and_a_second_start_is_refused(stack: StackSpec) -> None:
    rows = status(stack)
    assert {row["name"] for row in rows} == {process.name for process in process_specs(stack)}
    assert "console" in {row["name"] for row in rows} and all(row["ready"] for row in rows)
    with pytest.raises(ConflictError, match="already up"):
        up(stack)


def test_nothing_listens_beyond_the_loopback_interface(stack: StackSpec) -> None:
    addresses = set()
    for process in alive(stack):
        for connection in process.net_connections():
            if connection.status == psutil.CONN_LISTEN:
                addresses.add(connection.laddr.ip.removeprefix("::ffff:"))
    assert addresses == {"127.0.0.1"}


def test_the_teacher_keeps_what_is_right_and_metrics_account_for_every_call(stack: StackSpec, tmp_path: Path) -> None:
    counter = "mentor_sandbox_calls_total"
    before = scrape(stack.url("sandbox"), counter)
    questions = str(TINY / "questions" / "in_domain.jsonl")
    job = run(stack, "teacher", model=teacher_model(stack), questions=questions, max_questions=40)
    assert job.state is JobState.SUCCEEDED, job.error
    assert job.result is not None
    jobs = client(stack, "teacher")
    trajectories = list(iter_trajectories(jobs.fetch(job.id, "trajectories.jsonl", tmp_path / "t.jsonl")))
    kept = read_questions(jobs.fetch(job.id, "references.parquet", tmp_path / "r.parquet"))
    right = {t.question_id for t in trajectories if t.metadata["correct"]}
    assert {q.id for q in kept} == right and 0 < len(right) <= len(trajectories) == 40
    with tarfile.open(jobs.fetch(job.id, "dataset", tmp_path / "dataset.tar")) as archive:
        archive.extractall(tmp_path / "dataset", filter="data")
    (whole,) = (path.parent for path in (tmp_path / "dataset").rglob("manifest.json"))
    assert {"README.md", "statistics.html", "sft.parquet", "sft_text.parquet"} <= {
        path.name for path in whole.iterdir()
    }
    assert read_questions(whole / "references.parquet") == kept
    for question in kept:
        assert question.references and question.references[0].answer is not None
    counted = scrape(stack.url("sandbox"), counter) - before
    assert counted == executed_by_backend(trajectories)["sandbox"] == job.result["tool_calls_by_backend"]["sandbox"]


def test_the_evaluator_reports_rates_with_intervals_over_an_endpoint_and_a_path(
    stack: StackSpec, tmp_path: Path
) -> None:
    questions = str(TINY / "questions" / "in_domain.jsonl")
    token = {**teacher_model(stack), "mode": "token", "tokenizer": str(TINY / "checkpoints" / "teacher")}
    for model in (token, {"path": str(TINY / "checkpoints" / "student")}):
        job = run(stack, "evaluate", model=model, questions=questions, max_questions=20, samples=2)
        assert job.state is JobState.SUCCEEDED, job.error
        report = job.result or {}
        accuracy = report["accuracy"]
        assert accuracy["low"] <= accuracy["mean"] <= accuracy["high"]
        assert (accuracy["n"], accuracy["clusters"], report["mode"]) == (40, 20, ["token"])
        assert set(report["pass_at_k"]) == {"1", "2"}
    records = client(stack, "evaluate").fetch(job.id, "records.jsonl", tmp_path / "records.jsonl")
    row = json.loads(records.read_text().splitlines()[0])
    assert {"question", "messages", "reward_model", "model_answer", "is_correct", "tools_used"} <= set(row)


def test_searches_are_counted_by_the_retriever(stack: StackSpec, tmp_path: Path) -> None:
    counter = "mentor_retriever_queries_total"
    before = scrape(stack.url("retriever"), counter)
    questions = str(TINY / "questions" / "ood_search.jsonl")
    job = run(stack, "evaluate", model=teacher_model(stack), questions=questions, max_questions=10)
    path = client(stack, "evaluate").fetch(job.id, "trajectories.jsonl", tmp_path / "t.jsonl")
    searched = executed_by_backend(iter_trajectories(path))["retriever"]
    assert scrape(stack.url("retriever"), counter) - before == searched > 0


def test_bad_specs_are_refused_with_the_field_before_work_starts(stack: StackSpec, tmp_path: Path) -> None:
    questions = str(TINY / "questions" / "in_domain.jsonl")
    student = {"path": str(TINY / "checkpoints" / "student")}
    broken = tmp_path / "broken.parquet"
    broken.write_text("not parquet")
    unknown_tool = tmp_path / "tool.jsonl"
    unknown_tool.write_text('{"question": "q", "answers": ["1"], "tools": ["teleport"]}\n')
    cases: list[tuple[str, dict[str, Any], str]] = [
        ("evaluate", {"model": {"path": str(tmp_path / "nowhere")}, "questions": questions}, "nowhere"),
        ("evaluate", {"model": student, "questions": str(tmp_path / "none.jsonl")}, "none.jsonl"),
        ("evaluate", {"model": student, "questions": str(broken)}, "broken.parquet"),
        ("evaluate", {"model": student, "questions": str(unknown_tool)}, "teleport"),
        ("evaluate", {"model": student, "questions": questions, "samples": 0}, "samples"),
        ("evaluate", {"model": {}, "questions": questions}, "model"),
        ("evaluate", {"model": student, "questions": questions, "sample": 2}, "sample"),
        ("teacher", {"model": {"url": "ftp://x", "name": "t"}, "questions": questions}, "url"),
        (
            "train",
            {
                "model": str(tmp_path / "nowhere"),
                "train_files": [questions],
                "device": "cpu",
                "n_gpus_per_node": 1,
                "tensor_parallel": 1,
            },
            "nowhere",
        ),
    ]
    for kind, spec, mention in cases:
        jobs = client(stack, kind)
        known = len(jobs.newest())
        with pytest.raises(UserError) as caught:
            jobs.submit(kind, spec)
        assert mention in str(caught.value), (kind, spec)
        assert len(jobs.newest()) == known


def test_an_unreachable_endpoint_and_an_unknown_model_end_the_job_with_one_clear_line(stack: StackSpec) -> None:
    questions = str(TINY / "questions" / "in_domain.jsonl")
    gone = run(stack, "teacher", model={"url": "http://127.0.0.1:9", "name": "t"}, questions=questions)
    assert gone.state is JobState.FAILED and "http://127.0.0.1:9" in str(gone.error)
    wrong = run(stack, "teacher", model={**teacher_model(stack), "name": "gpt"}, questions=questions)
    assert wrong.state is JobState.FAILED and "gpt" in str(wrong.error) and "teacher" in str(wrong.error)


def test_chat_talks_to_a_model_with_its_tools(stack: StackSpec) -> None:
    path = str(TINY / "checkpoints" / "teacher")
    ask = "A shelf holds 418 stones and 67 of them are sold. How many stones remain?"
    done = mentor("chat", path, "--ask", ask, "--sandbox", stack.target("sandbox"))
    assert done.returncode == 0, done.stderr
    assert "subtract(minuend=418, subtrahend=67)" in done.stdout and "351" in done.stdout


def test_a_stopped_sandbox_makes_a_job_wait_and_then_fail_naming_it(stack: StackSpec) -> None:
    questions = str(TINY / "questions" / "in_domain.jsonl")
    jobs = client(stack, "evaluate")
    spec = {**SMALL, "model": teacher_model(stack), "questions": questions, "samples": 8, "concurrency": 8}
    state = load_state(stack)
    assert state is not None
    sandbox = psutil.Process(next(p.pid for p in state.processes if p.name == "sandbox"))
    job = jobs.submit("evaluate", {**spec, "backends": backends(stack, deadline_s=3)})
    eventually(lambda: jobs.get(job.id).progress > 0, what="the evaluation to begin")
    sandbox.send_signal(signal.SIGSTOP)
    try:
        ended = jobs.wait(job.id)
    finally:
        sandbox.send_signal(signal.SIGCONT)
    assert ended.state is JobState.FAILED
    assert "infrastructure" in str(ended.error)
    again = jobs.wait(jobs.submit("evaluate", {**spec, "samples": 1, "backends": backends(stack)}).id)
    assert again.state is JobState.SUCCEEDED


def test_a_users_own_questions_and_tools_become_a_student_and_a_report(stack: StackSpec, tmp_path: Path) -> None:
    """The README's walk, shortened to two steps of training."""
    (walk,) = [block.text for block in blocks() if block.where == "walk"]
    assert "mentor distill examples/distill/spec.yaml" in walk.splitlines()
    spec = yaml.safe_load((TINY.parent / "distill" / "spec.yaml").read_text())
    folder = TINY.parent / "distill"
    spec["questions"], spec["tools"] = str(folder / "questions.jsonl"), str(folder / "tools.py")
    spec["student"] = str(TINY / "checkpoints" / "student")
    spec["teacher"]["model"] |= teacher_model(stack)
    spec["train"] |= {"total_steps": 2, "save_freq": 2, "threads": 1}
    spec["evaluate"]["samples"] = 2
    spec["services"] = {name: stack.url(name) for name in ("teacher", "trainer", "evaluator")}
    path = tmp_path / "spec.yaml"
    path.write_text(yaml.safe_dump(spec))
    done = mentor("distill", str(path), "--output", str(tmp_path / "out"))
    assert done.returncode == 0, done.stdout + done.stderr
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert set(summary["models"]) == {"vanilla", "trained", "teacher"}
    assert {"mean", "low", "high"} <= set(summary["difference"]["in_domain"])
    assert len((tmp_path / "out" / "training" / "trained.jsonl").read_text().splitlines()) >= 2
    assert "<script" in (tmp_path / "out" / "report.html").read_text()
    seen = Counter(t.question_id for t in iter_trajectories(tmp_path / "out" / "trajectories" / "trained.jsonl"))
    assert len(seen) == 16 and set(seen.values()) == {2}


def test_kill_9_of_the_trainers_worker_leaves_no_ray_daemon_and_training_goes_on(
    stack: StackSpec, tmp_path: Path
) -> None:
    question = (TINY / "questions" / "train.jsonl").read_text().splitlines()[:8]
    rows = [json.loads(line) | {"references": [{"answer": "1", "tool_calls": [{"name": "add"}]}]} for line in question]
    questions = tmp_path / "train.jsonl"
    questions.write_text("".join(json.dumps(row) + "\n" for row in rows))
    jobs = client(stack, "train")
    settings = yaml.safe_load((TINY / "demo.yaml").read_text())["train"]
    spec = settings | {"model": str(TINY / "checkpoints" / "student"), "train_files": [str(questions)]}
    spec |= {"total_steps": 3, "save_freq": 1, "total_epochs": 3, "threads": 1, "rollouts": 2}
    job = jobs.submit("train", spec)
    eventually(lambda: jobs.get(job.id).progress > 0, within=300, what="a first step")
    state = load_state(stack)
    assert state is not None
    worker = psutil.Process(next(p.pid for p in state.processes if p.name == "trainer-worker"))
    command, environment = worker.cmdline(), worker.environ()
    family = worker.children(recursive=True)
    assert any("raylet" in p.name() for p in family)
    worker.kill()
    _, left = psutil.wait_procs(family, timeout=30)
    assert [p for p in left if p.status() != psutil.STATUS_ZOMBIE] == []
    another = psutil.Popen(command, env=environment)
    try:
        ended = jobs.wait(job.id)
    finally:
        another.terminate()
        another.wait(60)
    assert ended.state is JobState.SUCCEEDED, ended.error
    assert (ended.attempt, (ended.result or {})["step"]) == (2, 3)


def test_down_leaves_no_process_and_a_new_stack_can_start_on_the_same_ports(tmp_path: Path) -> None:
    spec = free_stack(tmp_path / "own", teacher=False)
    for _ in range(2):
        up(spec)
        family = alive(spec)
        assert len(family) >= 9
        down(spec)
        assert [p for p in family if p.is_running() and p.status() != psutil.STATUS_ZOMBIE] == []


def test_a_taken_port_and_an_unwritable_home_are_one_clear_line(stack: StackSpec, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is taken"):
        up(StackSpec(home=str(tmp_path / "other"), port_offset=stack.port_offset))
    with pytest.raises(MentorError, match="/dev/full"):
        up(StackSpec(home="/dev/full/home", port_offset=stack.port_offset))
