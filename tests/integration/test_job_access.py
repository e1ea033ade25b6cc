"""Two clients and an operator on one job service with real Redis and a real worker: whose jobs, whose files, whose rights."""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest

from mentor.errors import UserError
from mentor.jobs.embedded_redis import redis_url, start_redis
from mentor.jobs.model import JobState
from mentor.jobs.references import resolve
from mentor.jobs.service import build_manager
from mentor.jobs.settings import JobSettings
from mentor.rpc.errors import from_grpc
from mentor.rpc.principal import Principal, Role, acting_for
from mentor.rpc.v1 import jobs_pb2 as pb
from mentor.rpc.v1.jobs_pb2_grpc import JobsServiceStub
from mentor_evaluator.jobs import EvaluateJob
from tests.support.service_process import ServiceProcess, environment
from tests.support.waiting import eventually

TINY = Path(__file__).resolve().parents[2] / "examples" / "tiny"
KEYS = {name: f"{name}s-key-0123456789" for name in ("alice", "bob", "runner", "operator")}
ROLES = {"alice": "submit, run, search", "bob": "submit", "runner": "run", "operator": "operate"}
QUESTION = json.dumps({"question": "What is 1 plus 1?", "answers": ["2"]}) + "\n"
SECRET = "page-that-only-the-worker-can-reach"
FINAL = ("succeeded", "failed", "cancelled")


class Pages(BaseHTTPRequestHandler):
    """A server inside the network: a page for browsers, a redirect, and a record of every request."""

    seen: list[tuple[str, str | None]] = []

    def do_GET(self) -> None:
        self.seen.append((self.path, self.headers.get("authorization")))
        if self.path.startswith("/moved"):
            self.send_response(302)
            self.send_header("location", f"http://127.0.0.1:{self.server.server_address[1]}/elsewhere/v1/models")  # type: ignore[index]
            self.end_headers()
            return
        self.send_response(404)
        self.send_header("content-type", "text/html")
        self.end_headers()
        self.wfile.write(f"<html>{SECRET}</html>".encode())

    def log_message(self, *_: Any) -> None: ...


class Stack:
    """The evaluator's service and worker, with keys and closed lists."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.redis = start_redis(folder / "redis")
        self.settings = JobSettings(redis_url=redis_url(folder / "redis"), store=str(folder / "store"))
        self.pages = ThreadingHTTPServer(("127.0.0.1", 0), Pages)
        threading.Thread(target=self.pages.serve_forever, daemon=True).start()
        self.host = f"127.0.0.1:{self.pages.server_address[1]}"
        (folder / "allowed").mkdir()
        (folder / "allowed" / "q.jsonl").write_text(QUESTION)
        (folder / "keys.yaml").write_text(
            "".join(f"{name}: {{key: {key}, roles: [{ROLES[name]}]}}\n" for name, key in KEYS.items())
        )
        self.env = {
            "MENTOR_JOBS_REDIS_URL": self.settings.redis_url,
            "MENTOR_JOBS_STORE": self.settings.store,
            "MENTOR_ALLOW_MODEL_HOSTS": self.host,
            "MENTOR_ALLOW_SERVICE_HOSTS": "",
            "MENTOR_ALLOW_PATH_ROOTS": str(folder / "allowed"),
            "MENTOR_ALLOW_KEY_VARIABLES": f"TEST_MODEL_KEY@{self.host}",
            "TEST_MODEL_KEY": "key-of-the-model-server",
        }
        self.service = ServiceProcess(
            "mentor_evaluator", env=self.env | {"MENTOR_API_KEYS_FILE": str(folder / "keys.yaml")}
        )
        self.worker: subprocess.Popen[bytes] | None = None
        self.channel = grpc.insecure_channel(self.service.grpc)
        self.rpc: Any = JobsServiceStub(self.channel)

    def start_worker(self) -> None:
        command = [sys.executable, "-m", "mentor.jobs.worker", "--name", "evaluator", "--concurrency", "4"]
        command += ["--handler", "mentor_evaluator.jobs:EvaluateJob"]
        with (self.folder / "worker.log").open("wb") as log:
            self.worker = subprocess.Popen(command, env=environment(self.env), stdout=log, stderr=subprocess.STDOUT)

    def http(self, who: str, method: str, path: str, **options: Any) -> httpx.Response:
        headers = {"authorization": f"Bearer {KEYS[who]}"}
        return httpx.request(method, self.service.http + path, headers=headers, trust_env=False, timeout=60, **options)

    def call(self, who: str, rpc: str, message: Any) -> Any:
        """The answer, or the name of the status of its refusal."""
        answer = getattr(self.rpc, rpc)(message, metadata=(("authorization", f"Bearer {KEYS[who]}"),), timeout=60)
        try:
            return list(answer) if rpc == "WatchJob" else answer
        except grpc.RpcError as error:
            return error.code().name  # type: ignore[attr-defined]

    def code(self, who: str, rpc: str, message: Any) -> str:
        try:
            answer = self.call(who, rpc, message)
        except grpc.RpcError as error:
            return str(error.code().name)  # type: ignore[attr-defined]
        return answer if isinstance(answer, str) else "OK"

    def upload(self, who: str, content: bytes, name: str = "q.jsonl", **parameters: Any) -> httpx.Response:
        return self.http(who, "POST", "/v1/files", params={"name": name, **parameters}, content=content)

    def submit(self, who: str, key: str | None = None, **spec: Any) -> httpx.Response:
        full = {"model": {"path": "file:missing"}, "questions": str(self.folder / "allowed" / "q.jsonl"), **spec}
        return self.http(who, "POST", "/v1/jobs", json={"spec": full, "idempotency_key": key})

    def logged(self, job_id: str) -> str:
        """The line in which the worker says how a job ended."""
        lines = (self.folder / "worker.log").read_text().splitlines()
        return next((line for line in lines if job_id in line and "job left" in line), "")

    def model(self, path: str = "/v1", **fields: Any) -> dict[str, Any]:
        return {"url": f"http://{self.host}{path}", "name": "m", **fields}

    def ended(self, who: str, job_id: str) -> dict[str, Any]:
        def done() -> dict[str, Any] | None:
            job: dict[str, Any] = self.http(who, "GET", f"/v1/jobs/{job_id}").json()
            return job if job["state"] in FINAL else None

        return eventually(done, 120, what=f"{job_id} to end")

    def close(self) -> None:
        self.channel.close()
        self.service.stop()
        if self.worker is not None:
            self.worker.kill()
            self.worker.wait()
        self.redis.terminate()
        self.redis.wait()
        self.pages.shutdown()
        self.pages.server_close()


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    made = Stack(tmp_path_factory.mktemp("access"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def job(stack: Stack) -> str:
    """A job of Alice's, with an artefact and a log."""
    answer = stack.submit("alice", key="mine", model=stack.model())
    assert answer.status_code == 201, answer.text
    found = answer.json()
    assert (found["submitter"], found["privileged"]) == ("key:alice", False)
    manager = build_manager([EvaluateJob()], stack.settings)
    claim = manager.store.claim(found["id"], "test")
    assert claim is not None
    (stack.folder / "made").write_text("alices-result")
    manager.store.commit(found["id"], manager.files.put(found["id"], "report.json", stack.folder / "made", claim.fence))
    manager.files.log_path(found["id"], 1).write_text("alices-log\n")
    manager.store.finish(found["id"], claim.fence, JobState.SUCCEEDED, result={})
    return str(found["id"])


def test_a_service_with_keys_does_not_say_that_it_is_open(stack: Stack) -> None:
    assert not any("no keys are set" in record["event"] for record in stack.service.records)


ROUTES = [
    ("GET", "/v1/jobs/{id}", 200),
    ("GET", "/v1/jobs/{id}/events", 200),
    ("GET", "/v1/jobs/{id}/logs", 200),
    ("GET", "/v1/jobs/{id}/artifacts", 200),
    ("GET", "/v1/jobs/{id}/artifacts/report.json", 200),
    ("POST", "/v1/jobs/{id}/cancel", 409),
]


@pytest.mark.parametrize(("method", "path", "own"), ROUTES)
def test_somebody_elses_job_is_answered_like_one_that_does_not_exist(
    stack: Stack, job: str, method: str, path: str, own: int
) -> None:
    foreign = stack.http("bob", method, path.format(id=job))
    unknown = stack.http("bob", method, path.format(id="evaluate-unknown"))
    assert (foreign.status_code, unknown.status_code) == (404, 404)
    assert foreign.text.replace(job, "ID") == unknown.text.replace("evaluate-unknown", "ID")
    assert stack.http("alice", method, path.format(id=job)).status_code == own
    assert stack.http("operator", method, path.format(id=job)).status_code == own
    assert stack.http("runner", method, path.format(id=job)).status_code == 403


@pytest.mark.parametrize(
    ("rpc", "message", "own"),
    [("GetJob", pb.GetJobRequest, "OK"), ("WatchJob", pb.WatchJobRequest, "OK"),
     ("CancelJob", pb.CancelJobRequest, "FAILED_PRECONDITION")],
)  # fmt: skip
def test_the_rpcs_say_the_same(stack: Stack, job: str, rpc: str, message: Any, own: str) -> None:
    found = {who: stack.code(who, rpc, message(id=job)) for who in KEYS}
    assert found == {"alice": own, "operator": own, "bob": "NOT_FOUND", "runner": "PERMISSION_DENIED"}


def test_a_list_shows_ones_own_jobs_and_operators_all(stack: Stack, job: str) -> None:
    other = stack.submit("bob", model=stack.model()).json()["id"]
    for who, shown in {"alice": {job}, "bob": {other}, "operator": {job, other}}.items():
        listed = {row["id"] for row in stack.http(who, "GET", "/v1/jobs?limit=500").json()["jobs"]}
        assert listed & {job, other} == shown
        rpc = stack.call(who, "ListJobs", pb.ListJobsRequest(limit=500))
        assert {row.id for row in rpc.jobs} & {job, other} == shown


def test_idempotency_keys_of_two_submitters_never_meet(stack: Stack, job: str) -> None:
    assert stack.submit("alice", key="mine", model=stack.model()).json()["id"] == job
    other = stack.submit("bob", key="mine", model=stack.model(), samples=2)
    assert (other.status_code, other.json()["submitter"]) == (201, "key:bob")


def test_an_artefact_of_somebody_elses_job_is_refused_in_the_words_of_an_unknown_one(stack: Stack, job: str) -> None:
    texts = {}
    for which in (job, "evaluate-unknown"):
        answer = stack.submit("bob", model=stack.model(), reference=f"artifact:{which}/report.json")
        assert (answer.status_code, answer.json()["error"]["field"]) == (400, "reference")
        texts[which] = answer.text.replace(which, "ID")
    assert len(set(texts.values())) == 1
    for who in ("alice", "operator"):
        assert stack.submit(who, model=stack.model(), reference=f"artifact:{job}/report.json").status_code == 201
    for name in ("..", "../..", "../../../etc/passwd", "report.json/../.."):
        assert stack.submit("alice", model=stack.model(), reference=f"artifact:{job}/{name}").status_code == 400, name


def test_a_file_is_its_senders_and_its_digest_opens_it_to_nobody_else(stack: Stack) -> None:
    content = b'{"question": "private", "answers": ["1"]}\n'
    reference = stack.upload("alice", content).json()["reference"]
    assert reference == f"file:{hashlib.sha256(content).hexdigest()}/q.jsonl"
    path = f"/v1/files/{reference.removeprefix('file:')}"
    assert {who: stack.http(who, "HEAD", path).status_code for who in KEYS} == {
        "alice": 204, "bob": 404, "runner": 403, "operator": 404,
    }  # fmt: skip
    assert stack.submit("alice", model=stack.model(), questions=reference).status_code == 201
    refused = stack.submit("bob", model=stack.model(), questions=reference)
    assert refused.status_code == 400 and "not in the store" in refused.text
    assert stack.upload("bob", content).json()["reference"] == reference
    assert stack.submit("bob", model=stack.model(), questions=reference).status_code == 201


@pytest.mark.parametrize("name", ["..", "."])
def test_a_reference_to_the_folder_above_is_refused(stack: Stack, name: str) -> None:
    digest = hashlib.sha256(b"x").hexdigest()
    stack.upload("operator", b"x", "x.jsonl")
    for who in ("alice", "operator"):
        answer = stack.submit(who, model={"path": f"file:{digest}/{name}"})
        assert (answer.status_code, answer.json()["error"]["field"]) == (400, "model.path")
    assert stack.upload("alice", b"x", name).status_code == 400


def test_an_archive_that_unpacks_to_more_than_may_be_sent_is_refused_and_leaves_nothing(stack: Stack) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        info = tarfile.TarInfo("zeros")
        info.size = 64 * 1024 * 1024
        tar.addfile(info, io.BytesIO(bytes(info.size)))
    answer = stack.upload("alice", packed.getvalue(), "folder", folder="true")
    assert answer.status_code == 400 and "100 times" in answer.text
    assert [entry for entry in os.listdir(stack.settings.store) if entry.startswith(".upload")] == []


@pytest.mark.parametrize(
    ("field", "spec"),
    [
        ("model.url", {"model": {"url": "http://169.254.169.254/v1", "name": "m"}}),
        ("model.url", {"model": {"url": "http://127.0.0.1:6379/v1", "name": "m"}}),
        ("model.api_key_env", {"model": {"api_key_env": "MENTOR_JOBS_REDIS_URL"}}),
        ("model.path", {"model": {"path": "/etc"}}),
        ("questions", {"questions": "/etc/passwd"}),
        ("tools", {"tools": "/etc/passwd"}),
        ("reference", {"reference": "/proc/self/environ"}),
        ("backends.retriever", {"backends": {"retriever": "http://127.0.0.1:1"}}),
    ],
)
def test_what_a_spec_may_not_reach_is_refused_alike_over_rest_and_grpc(
    stack: Stack, field: str, spec: dict[str, Any]
) -> None:
    if "api_key_env" in spec.get("model", {}):
        spec = {"model": stack.model(**spec["model"])}
    full = {"model": stack.model(), "questions": str(stack.folder / "allowed" / "q.jsonl"), **spec}
    for who in ("bob", "operator"):
        answer = stack.submit(who, **full)
        assert (answer.status_code, answer.json()["error"]["field"]) == (400, field), answer.text
        with pytest.raises(grpc.RpcError) as caught:
            stack.call(who, "SubmitJob", pb.SubmitJobRequest(spec_json=json.dumps(full)))
        typed = from_grpc(caught.value)  # type: ignore[arg-type]
        assert isinstance(typed, UserError) and typed.field == field


def test_jobs_of_before_there_were_submitters_are_operators_alone(stack: Stack, job: str) -> None:
    manager = build_manager([EvaluateJob()], stack.settings)
    old = stack.submit("alice", model=stack.model()).json()["id"]
    manager.store.redis.hdel(f"mentor:job:{old}", "submitter", "privileged")
    codes = {who: stack.http(who, "GET", f"/v1/jobs/{old}").status_code for who in ("alice", "bob", "operator")}
    assert codes == {"alice": 404, "bob": 404, "operator": 200}
    with acting_for(Principal("", frozenset({Role.SUBMIT}))), pytest.raises(UserError):
        resolve({"reference": f"artifact:{old}/x"}, manager.store, manager.files)


def test_nothing_of_the_store_is_reached_through_a_link_in_it(stack: Stack) -> None:
    files = build_manager([EvaluateJob()], stack.settings).files
    (files.local / "files").mkdir(exist_ok=True)
    (files.local / "files" / "link").symlink_to("/etc")
    with pytest.raises(UserError, match="nothing at"):
        files.local_path("files/link/passwd")
    with pytest.raises(UserError, match="nothing at"):
        files.local_path("files/../../keys.yaml")


def test_a_job_runs_with_its_submitters_rights_and_repeats_no_page_that_it_was_sent_to(stack: Stack, job: str) -> None:
    """With a real worker: specs tampered with in Redis, a page inside the network, a redirect, and the key that goes along."""
    manager = build_manager([EvaluateJob()], stack.settings)
    for waiting in manager.store.unfinished():
        manager.cancel(waiting)
    tampered = {
        "files": {"questions": "/etc/passwd"},
        "artefacts": {"reference": f"artifact:{job}/report.json"},
    }
    ids = {}
    for name, change in tampered.items():
        found = stack.submit("bob", model=stack.model()).json()
        spec = found["spec"] | change
        manager.store.redis.hset(f"mentor:job:{found['id']}", "spec", json.dumps(spec))
        ids[name] = found["id"]
    page = stack.submit("bob", model=stack.model("/internal/v1", api_key_env="TEST_MODEL_KEY")).json()["id"]
    moved = stack.submit("bob", model=stack.model("/moved/v1", api_key_env="TEST_MODEL_KEY"))
    Pages.seen.clear()
    stack.start_worker()
    errors = {name: stack.ended("bob", job_id)["error"] for name, job_id in ids.items()}
    assert errors["files"].startswith("questions: '/etc/passwd' is not in a folder")
    assert errors["artefacts"].startswith("reference: ") and "no artefact" in errors["artefacts"]
    told = stack.ended("bob", page)["error"]
    assert told == "HTTP 404 (text/html, 48 bytes)"
    assert SECRET not in stack.http("bob", "GET", f"/v1/jobs/{page}/logs").text
    assert SECRET in eventually(lambda: stack.logged(page), what="the worker to say how the job ended")
    eventually(lambda: any(path.startswith("/moved") for path, _ in Pages.seen), what="the redirect to be met")
    stack.http("bob", "POST", f"/v1/jobs/{moved.json()['id']}/cancel")
    stack.ended("bob", moved.json()["id"])
    paths = {path for path, _ in Pages.seen}
    assert "/internal/v1/models" in paths and not any("elsewhere" in path for path in paths)
    assert {key for _, key in Pages.seen} == {"Bearer key-of-the-model-server"}
