"""Model servers that jobs start: served from a folder, killed, hung, refused, and never left behind."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from mentor.data import read_questions, write_questions
from mentor.errors import InfrastructureError, UserError
from mentor.inference import SamplingParams
from mentor.inference.pool import EndpointPool, Member
from mentor.inference.servers.command import MARK_VARIABLE
from mentor.inference.servers.serving import ManagedClient, serving
from mentor.inference.servers.spec import ServeSpec
from mentor.jobs.handler import Stopped
from mentor.jobs.processes import carrying
from mentor.jobs.store import LeaseLostError
from mentor.rollout.connect import ModelSource, open_policy
from tests.support.served import ServedJobs, served_jobs
from tests.support.service_process import ServiceProcess, running_process
from tests.support.waiting import eventually

TINY = Path(__file__).parents[2] / "examples" / "tiny"
TEACHER = TINY / "checkpoints" / "teacher"
SMALL = f"{sys.executable} -m tests.support.small_server"
LOGS = {"m-1.log", "m-2.log"}
GREEDY = SamplingParams(temperature=0.0, max_tokens=32)


class Watching:
    """What a job's context is to a server: remembers what it is told."""

    def __init__(self, workdir: Path) -> None:
        self.workdir = workdir
        self.said: list[str] = []
        self.figures: dict[str, float] = {}
        self.counts: Counter[tuple[str, ...]] = Counter()
        self.stop = False

    def tell(self, message: str, **metrics: Any) -> None:
        self.said.append(message)
        self.figures |= metrics

    def count(self, name: str, amount: float = 1.0, **labels: str) -> None:
        self.counts[name.removeprefix("mentor_model_server_"), *labels.values()] += amount

    def should_stop(self) -> bool:
        return self.stop


@pytest.fixture
def watch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Watching:
    monkeypatch.setenv("MENTOR_ENGINE_LOCAL", SMALL)
    monkeypatch.setenv("MENTOR_SECRET", "ours")
    return Watching(tmp_path)


def serve(**fields: Any) -> ServeSpec:
    return ServeSpec.model_validate({"engine": "local", "start_timeout_s": 60, **fields})


async def asked(client: ManagedClient) -> str:
    """The process id of the server that answered."""
    reply = await client.post("/v1/chat/completions", {"model": "m"}, request_id="r", timeout_s=60)
    return str(reply["choices"][0]["message"]["content"]).removeprefix("<answer>").removesuffix("</answer>")


def alive(process: psutil.Process) -> bool:
    """A dead one whose new parent has not waited for it yet is not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def pid_of(client: ManagedClient) -> int:
    return int(httpx.get(f"{client.endpoint.url}/health", trust_env=False).json()["pid"])


async def test_a_server_that_is_killed_comes_back_on_its_port_and_requests_outlast_it(watch: Watching) -> None:
    async with serving(serve(), TEACHER, "m", watch=watch) as (client,):
        first = pid_of(client)
        assert await asked(client) == str(first)
        os.kill(first, signal.SIGKILL)
        second = await asked(client)
        while client.server.starts == 1:
            await asyncio.sleep(0.02)
        assert second.isdigit() and int(second) != first
        mark = psutil.Process(int(second)).environ()[MARK_VARIABLE]
    assert not carrying(MARK_VARIABLE, mark)
    assert watch.counts["restarts", "local", "died"] == 1 and watch.counts["starts", "local"] == 2
    assert watch.counts["tokens", "local", "generated"] == 7 and "generated_tokens_per_s" in watch.figures
    assert any("died with exit code 137: restart 1 of 3" in said for said in watch.said)


async def test_a_server_that_hangs_is_killed_and_started_again(watch: Watching) -> None:
    async with serving(serve(hang_s=0.5), TEACHER, "m", watch=watch) as (client,):
        first = pid_of(client)
        os.kill(first, signal.SIGSTOP)
        while not watch.counts["restarts", "local", "hung"]:
            await asyncio.sleep(0.02)
        assert await asked(client) != str(first)
        assert not psutil.pid_exists(first)


async def test_what_it_started_ends_with_it_daemons_too_and_nothing_of_ours_is_handed_on(
    watch: Watching, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SMALL_DAEMON", str(tmp_path / "daemon"))
    async with serving(serve(), TEACHER, "m", watch=watch) as (client,):
        daemon = psutil.Process(int((tmp_path / "daemon").read_text()))
        variables = httpx.get(f"{client.endpoint.url}/health", trust_env=False).json()["variables"]
        assert alive(daemon) and "MENTOR_SECRET" not in variables and MARK_VARIABLE in variables
        guardian = psutil.Process(pid_of(client)).parent()
        assert guardian is not None and "mentor.jobs.guardian" in guardian.cmdline()
        guardian.kill()
        while client.server.starts == 1:
            await asyncio.sleep(0.02)
        assert not alive(daemon)
        daemon = psutil.Process(int((tmp_path / "daemon").read_text()))
    assert not alive(daemon)


async def test_when_restarts_are_used_up_the_work_ends_with_the_logs_reason(
    watch: Watching, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SMALL_DIES_LATER", str(tmp_path / "dies"))
    with pytest.raises(InfrastructureError, match="1 restarts are used up: OutOfMemoryError: the model does not fit"):
        async with serving(serve(restarts=1), TEACHER, "m", watch=watch) as (client,):
            (tmp_path / "dies").touch()
            os.kill(pid_of(client), signal.SIGKILL)
            await asked(client)
    tail = capsys.readouterr().err
    assert "--- m.log: the last lines" in tail and "shutting down" in tail and "(key ***)" in tail
    assert (tmp_path / "servers" / "m.log").exists()


async def test_an_error_of_the_work_itself_stays_what_it_is(watch: Watching) -> None:
    with pytest.raises(KeyError, match="mine"):
        async with serving(serve(), TEACHER, "m", watch=watch):
            raise KeyError("mine")


async def test_a_job_that_has_passed_to_another_worker_takes_its_server_with_it(watch: Watching) -> None:
    with pytest.raises(LeaseLostError):
        async with serving(serve(), TEACHER, "m", watch=watch) as (client,):
            server = psutil.Process(pid_of(client))

            def lost(*_: object, **__: object) -> None:
                raise LeaseLostError("another worker has it")

            watch.count = watch.tell = lost  # type: ignore[method-assign]
    assert not alive(server)


async def test_a_server_that_never_serves_is_one_line(watch: Watching, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMALL_DIES", "1")
    with pytest.raises(InfrastructureError, match="exit code 3 before it served: OutOfMemoryError: the model") as ended:
        async with serving(serve(), TEACHER, "m", watch=watch):
            pass
    assert "\n" not in str(ended.value)
    monkeypatch.setenv("MENTOR_ENGINE_LOCAL", f"{sys.executable} -c 'import time; time.sleep(600)'")
    with pytest.raises(InfrastructureError, match=r"did not serve within 0.5 s: it said nothing"):
        async with serving(serve(start_timeout_s=0.5), TEACHER, "n", watch=watch):
            pass


async def test_an_argument_that_the_engine_refuses_is_the_specs_fault(watch: Watching) -> None:
    with pytest.raises(UserError, match=r"error: unrecognized arguments: --nonsense=1") as refused:
        async with serving(serve(arguments=["--nonsense=1"]), TEACHER, "m", watch=watch):
            pass
    assert refused.value.field == "model.serve"


async def test_a_job_that_is_told_to_stop_does_not_wait_for_its_server(
    watch: Watching, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MENTOR_ENGINE_LOCAL", f"{sys.executable} -c 'import time; time.sleep(600)'")
    watch.stop = True
    with pytest.raises(Stopped):
        async with serving(serve(), TEACHER, "m", watch=watch):
            pass


async def test_an_engine_that_is_not_set_up_and_a_folder_that_is_not_there_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MENTOR_ENGINE_VLLM", raising=False)
    with pytest.raises(UserError, match=r"vllm is not set up on this worker.*MENTOR_ENGINE_VLLM"):
        async with open_policy(ModelSource(path=str(TEACHER), serve=ServeSpec())):
            pass
    monkeypatch.setenv("MENTOR_ENGINE_VLLM", "/no/such/python")
    with pytest.raises(UserError, match="names no program of this worker"):
        async with open_policy(ModelSource(path=str(TEACHER), serve=ServeSpec())):
            pass
    with pytest.raises(UserError, match="is not a folder"):
        async with open_policy(ModelSource(path=str(tmp_path / "none"), serve=ServeSpec())):
            pass


# --- replicas


def pool_of(clients: Sequence[ManagedClient]) -> EndpointPool:
    return EndpointPool([Member(client, client.server.label) for client in clients])


async def answered(pool: EndpointPool, number: int) -> set[str]:
    """The processes that answered so many requests of different trajectories, made at once."""

    def who(reply: dict[str, Any], note: object) -> str:
        return str(reply["choices"][0]["message"]["content"]).removeprefix("<answer>").removesuffix("</answer>")

    ask = (
        pool.ask("/v1/chat/completions", {"messages": []}, who, request_id=f"{n}-0", timeout_s=20)
        for n in range(number)
    )
    return set(await asyncio.gather(*ask))


async def test_replicas_share_requests_and_the_others_serve_while_one_is_started_again(
    watch: Watching, tmp_path: Path
) -> None:
    async with serving(serve(replicas=2), TEACHER, "m", watch=watch) as clients:
        pool, (first, second) = pool_of(clients), map(pid_of, clients)
        assert await answered(pool, 8) == {str(first), str(second)}
        assert watch.figures["servers_up"] == 2 and {log.name for log in (tmp_path / "servers").iterdir()} == LOGS
        os.kill(first, signal.SIGKILL)
        while not clients[0].away:
            await asyncio.sleep(0.02)
        assert await answered(pool, 8) == {str(second)} and watch.figures["servers_up"] == 1
        while clients[0].away:
            await asyncio.sleep(0.02)
        for pid in {(third := pid_of(clients[0])), second}:
            os.kill(pid, signal.SIGKILL)
        while not all(client.away for client in clients):
            await asyncio.sleep(0.02)
        later = await answered(pool, 8)  # nobody serves: they wait for whoever comes back first
        assert later and not later & {str(first), str(second), str(third)}
        while any(client.away for client in clients):
            await asyncio.sleep(0.02)
        marks = [psutil.Process(pid_of(client)).environ()[MARK_VARIABLE] for client in clients]
    assert not any(carrying(MARK_VARIABLE, mark) for mark in marks)
    assert watch.counts["restarts", "local", "died"] == 3 and watch.counts["starts", "local"] == 5
    each = [watch.figures[f"generated_tokens_per_s local-{number}"] for number in (1, 2)]
    assert all(each) and watch.figures["generated_tokens_per_s"] == pytest.approx(sum(each), abs=0.2)


async def test_a_replica_that_is_given_up_is_left_to_the_others_and_the_last_ends_the_work(watch: Watching) -> None:
    with pytest.raises(InfrastructureError, match=r"\(local-2, m\) died .* 0 restarts are used up"):
        async with serving(serve(replicas=2, restarts=0), TEACHER, "m", watch=watch) as clients:
            pool, (first, second) = pool_of(clients), map(pid_of, clients)
            os.kill(first, signal.SIGKILL)
            while not clients[0].server.given_up:
                await asyncio.sleep(0.02)
            assert await answered(pool, 4) == {str(second)}
            os.kill(second, signal.SIGKILL)
            await answered(pool, 4)
    assert any("(local-1, m) died" in said and "goes on with 1 of 2" in said for said in watch.said)


async def test_a_replica_that_never_serves_takes_the_others_with_it(
    watch: Watching, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MENTOR_ENGINE_LOCAL", f"{sys.executable} -c 'import time; time.sleep(600)'")
    with pytest.raises(InfrastructureError, match=r"\(local-[12], m\) did not serve within 0.5 s"):
        async with serving(serve(replicas=2, start_timeout_s=0.5), TEACHER, "m", watch=watch):
            pass
    assert not [p for p in psutil.Process().children(recursive=True) if "time.sleep(600)" in p.cmdline()]


# --- jobs


@pytest.fixture(scope="module")
def sandbox() -> Iterator[ServiceProcess]:
    with running_process("mentor_sandbox") as service:
        yield service


@pytest.fixture(scope="module")
def jobs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedJobs]:
    with served_jobs(tmp_path_factory.mktemp("served"), lease_s=3) as made:
        yield made


def test_from_a_folder_to_a_data_set_though_the_server_is_killed_in_the_middle(
    jobs: ServedJobs, sandbox: ServiceProcess, tmp_path: Path
) -> None:
    known = [q for q in read_questions(TINY / "questions" / "in_domain.jsonl") if "search" not in str(q.tools)][:10]
    write_questions(known, tmp_path / "questions.jsonl")
    job = jobs.submit(
        "teacher", questions=str(tmp_path / "questions.jsonl"), samples=2, concurrency=2, max_infrastructure_share=0,
        backends={"sandbox": sandbox.grpc}, sampling={"temperature": 0.5, "max_tokens": 128, "seed": 0},
        model={"path": str(TEACHER), "serve": {"engine": "local"}, "mode": "chat"},
    )  # fmt: skip
    jobs.drawn(job, 3)
    jobs.server(job).kill()
    done = jobs.succeeded(job)
    assert (done.attempt, done.lapses) == (1, 0)
    drawn = Counter((t.question_id, t.sample) for t in jobs.trajectories(job) if not t.failed)
    assert drawn == {(q.id, sample): 1 for q in known for sample in range(2)}
    assert jobs.counted("mentor_model_server_restarts") == {("local", "died"): 1}
    assert jobs.counted("mentor_model_server_starts") == {("local",): 2}
    assert jobs.counted("mentor_model_server_tokens")["local", "generated"] > 0
    assert done.metrics["generated_tokens_per_s"] > 0
    jobs.nothing_left(job)


def test_two_replicas_serve_one_job_and_nothing_is_lost_with_one_of_them(
    jobs: ServedJobs, sandbox: ServiceProcess, tmp_path: Path
) -> None:
    known = [q for q in read_questions(TINY / "questions" / "in_domain.jsonl") if "search" not in str(q.tools)][:20]
    write_questions(known, tmp_path / "questions.jsonl")
    before = jobs.counted("mentor_model_server_restarts")
    job = jobs.submit(
        "teacher", questions=str(tmp_path / "questions.jsonl"), samples=2, concurrency=4, max_infrastructure_share=0,
        backends={"sandbox": sandbox.grpc}, sampling={"temperature": 0.5, "max_tokens": 128, "seed": 0},
        model={"path": str(TEACHER), "serve": {"engine": "local", "replicas": 2}},
    )  # fmt: skip
    jobs.drawn(job, 5, within=300)
    jobs.server(job).kill()
    done = jobs.succeeded(job, within=300)
    assert (done.attempt, done.lapses) == (1, 0)
    drawn = Counter((t.question_id, t.sample) for t in jobs.trajectories(job))
    assert drawn == {(q.id, sample): 1 for q in known for sample in range(2)}
    assert not any(t.failed for t in jobs.trajectories(job))
    assert jobs.counted("mentor_model_server_restarts")["local", "died"] == before.get(("local", "died"), 0) + 1
    served = jobs.counted("mentor_model_requests")
    assert served["local-1", "ok"] > 0 and served["local-2", "ok"] > 0
    jobs.nothing_left(job)


def test_kill_9_of_the_worker_leaves_no_server_and_the_next_attempt_starts_its_own(
    tmp_path: Path,
) -> None:
    with served_jobs(tmp_path / "served", lease_s=3, environment={"MENTOR_ENGINE_LOCAL": SMALL}) as jobs:
        _killed_worker(jobs, tmp_path)


def _killed_worker(jobs: ServedJobs, tmp_path: Path) -> None:
    rows = "".join(json.dumps({"id": f"r{n}", "question": f"{n} + {n}?", "answer": 2 * n}) + "\n" for n in range(4))
    (tmp_path / "rows.jsonl").write_text(rows)
    own = {"name": "sums", "file": str(tmp_path / "rows.jsonl")}
    model = {"path": str(TEACHER), "serve": {"engine": "local"}, "mode": "chat"}
    job = jobs.submit(
        "evaluation", models=[{"name": "tiny", "model": model}], own=[own], tools="without",
        sampling={"temperature": 0.0, "max_tokens": 16, "seed": 0},
    )  # fmt: skip
    server = jobs.server(job, module="tests.support.small_server")
    worker = jobs.stack.workers[-1]
    worker.kill()
    worker.wait()
    eventually(lambda: not alive(server), 30, what="the server to be gone")
    jobs.nothing_left(job)
    jobs.worker()
    done = jobs.succeeded(job)
    assert done.attempt == 2 and done.result is not None
    assert done.result["cells"]["tiny/sums/no-tools"]["trajectories"] == 4
