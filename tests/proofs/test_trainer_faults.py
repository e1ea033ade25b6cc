"""Whatever a training run needs fails in the middle of it: the run goes on, or ends with one line that names the cause, and
what was lost is counted.

Whole runs of verl on the tiny student with real services, each of which takes a minute or more to start on a small machine.
``make trainer-faults``; ``MENTOR_PROOF_OUTAGE_S`` (300) is how long Redis is away.
"""

from __future__ import annotations

import json
import os
import re
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mentor.data import read_questions, write_questions
from mentor.errors import InfrastructureError, MentorError, UserError
from mentor.trajectory import CallSignature, Reference
from mentor_trainer import checkpoints
from mentor_trainer.config import make_spec
from mentor_trainer.events import TrainEvent
from mentor_trainer.launcher import processes_of
from mentor_trainer.run import TrainResult, run_training
from tests.support.chaos import free_port
from tests.support.failing_retriever import failing_retriever
from tests.support.full_disk import fill, small_disk
from tests.support.job_stack import job_stack
from tests.support.redis_outage import assert_redis_may_leave
from tests.support.service_process import ROOT, ServiceProcess, running_process
from tests.support.training import questions, spec_values, write_set
from tests.support.waiting import eventually

OUTAGE_S = float(os.environ.get("MENTOR_PROOF_OUTAGE_S", "300"))
AWAY_S = 60.0
SMALL = {"train_batch_size": 2, "mini_batch_size": 2, "rollouts": 2}
SEARCHES = ROOT / "examples" / "tiny" / "questions" / "ood_search.jsonl"


@pytest.fixture(scope="module")
def sandbox() -> Iterator[ServiceProcess]:
    with running_process("mentor_sandbox") as service:
        yield service


def train(
    values: dict[str, Any], attempt: Path, on_event: Any = lambda _: None
) -> tuple[TrainResult, list[TrainEvent]]:
    events: list[TrainEvent] = []

    def heard(event: TrainEvent) -> None:
        events.append(event)
        on_event(event)

    return run_training(make_spec(values), attempt, heard), events


def kill(attempt: Path, title: str) -> None:
    """SIGKILL to the run's last process of that title."""
    run = (attempt / "handle").read_text().split(":")[0]
    found = [process for process in processes_of(run) if "".join(process.cmdline()).startswith(title)]
    found[-1].send_signal(signal.SIGKILL)


def one_line(error: MentorError) -> str:
    text = str(error)
    print(f"\n{type(error).__name__}: {text}")
    assert "\n" not in text and "Traceback" not in text
    return text


def test_a_sandbox_that_is_gone_for_a_minute_costs_a_minute_and_no_sample(tmp_path: Path) -> None:
    write_set(tmp_path)
    ports = ("--grpc-port", str(free_port()))
    first = ServiceProcess("mentor_sandbox", *ports)
    back: list[ServiceProcess] = []

    def return_later() -> None:
        time.sleep(AWAY_S)
        back.append(ServiceProcess("mentor_sandbox", *ports))

    def lose(event: TrainEvent) -> None:
        if event.step == 1:
            first.process.kill()
            threading.Thread(target=return_later).start()

    try:
        values = spec_values(tmp_path, **SMALL, sandbox_url=first.grpc, total_steps=3, infrastructure_wait_s=240.0)
        result, events = train(values, tmp_path / "a1", lose)
        assert result.step == 3 and [event.step for event in events] == [1, 2, 3]
        assert back, "it was away"
        assert [event.metrics["infrastructure_failures"] for event in events] == [0, 0, 0]
        assert all(event.metrics["samples"] == 4 for event in events)
    finally:
        for service in (first, *back):
            service.process.kill()


def searches(folder: Path, searching: int, adding: int, **changes: Any) -> dict[str, Any]:
    """A spec over questions that the student searches for, behind those that it adds for."""
    asked = [
        question.model_copy(update={"references": (_searched(question.answers[0]),)})
        for question in read_questions(SEARCHES)[:searching]
    ]
    write_questions([*questions(adding), *asked], folder / "train.jsonl")
    return spec_values(folder, infrastructure_wait_s=1.0, max_prompt_length=1600, **changes)


def _searched(answer: str) -> Reference:
    return Reference(answer=answer, tool_calls=(CallSignature(name="wikipedia_search", arguments={"query": "area"}),))


def test_a_retriever_that_answers_500_ends_the_run_with_its_name_and_what_was_lost(
    sandbox: ServiceProcess, tmp_path: Path
) -> None:
    with failing_retriever() as url:
        values = searches(tmp_path, 4, 0, sandbox_url=sandbox.grpc, retriever_url=url, total_steps=1000)
        with pytest.raises(InfrastructureError) as lost:
            train(values, tmp_path / "a1")
    line = one_line(lost.value)
    told = rf"step \d+: \d+ of 16 rollouts were lost to infrastructure: retriever {re.escape(url)}: HTTP 500"
    assert re.search(told, line)


def test_the_few_samples_that_a_failing_retriever_costs_are_counted_and_the_run_goes_on(
    sandbox: ServiceProcess, tmp_path: Path
) -> None:
    with failing_retriever() as url:
        values = searches(tmp_path, 1, 3, sandbox_url=sandbox.grpc, retriever_url=url, total_steps=1)
        result, (event,) = train(values, tmp_path / "a1")
    rows = [json.loads(line) for line in (tmp_path / "a1" / "rollouts" / "step_1.jsonl").read_text().splitlines()]
    lost = [row["trajectory"] for row in rows if row["trajectory"].get("termination") == "infrastructure"]
    assert result.step == 1 and len(rows) == 16
    assert 0 < event.metrics["infrastructure_failures"] == len(lost) <= 4
    assert all("retriever" in row["error"] for row in lost)


@pytest.mark.parametrize(("title", "ranks"), [("ray::LocalServer", 1), ("ray::WorkerDict", 2)], ids=["engine", "rank"])
def test_a_process_that_is_killed_ends_the_run_with_a_line_and_costs_what_came_after_the_checkpoint(
    sandbox: ServiceProcess, tmp_path: Path, title: str, ranks: int
) -> None:
    write_set(tmp_path)
    values = spec_values(
        tmp_path, **SMALL, sandbox_url=sandbox.grpc, total_steps=1000, save_freq=1, n_gpus_per_node=ranks
    )
    attempt, events = tmp_path / "a1", list[TrainEvent]()

    def lose(event: TrainEvent) -> None:
        events.append(event)
        if event.step == 2:
            kill(attempt, title)

    with pytest.raises(InfrastructureError) as lost:
        train(values, attempt, lose)
    assert "process of the run was lost" in one_line(lost.value)
    whole = checkpoints.latest(tmp_path / "out" / "checkpoints")
    assert whole is not None and events[-1].step - 1 <= whole.step <= events[-1].step + 1
    assert processes_of((attempt / "handle").read_text().split(":")[0]) == []


def test_a_disk_that_is_full_at_a_checkpoint_is_named_and_the_checkpoint_before_is_left(
    sandbox: ServiceProcess, tmp_path: Path
) -> None:
    write_set(tmp_path)
    with small_disk(tmp_path / "disk") as disk:
        values = spec_values(
            tmp_path, **SMALL, sandbox_url=sandbox.grpc, total_steps=1000, save_freq=2, output_dir=str(disk / "out")
        )

        def fill_up(event: TrainEvent) -> None:
            if event.step == 2:
                eventually(lambda: checkpoints.latest(disk / "out" / "checkpoints"), what="the first checkpoint")
                fill(disk)

        with pytest.raises(UserError) as full:
            train(values, disk / "out" / "attempts" / "0001", fill_up)
        line = one_line(full.value)
        assert "disk is full" in line or "No space left" in line
        whole = checkpoints.latest(disk / "out" / "checkpoints")
        assert whole is not None and whole.step == 2


def test_redis_that_is_away_for_minutes_costs_a_training_job_nothing(
    sandbox: ServiceProcess, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    write_set(tmp_path)
    values = spec_values(tmp_path, **SMALL, sandbox_url=sandbox.grpc, total_steps=12, save_freq=4)
    with job_stack(tmp_path_factory.mktemp("jobs"), lease_s=30) as stack:  # as it is deployed
        assert_redis_may_leave(stack, values, OUTAGE_S, leaves="model", within=900)
