"""The whole system in containers, as a user brings it up: it works, it is confined, its panels show data, it can be restarted
under load, and nothing is left of it. `make compose-smoke`."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from mentor.jobs.client import JobClient
from tests.deploy.test_observability import panel_queries
from tests.docs.blocks import Block, blocks
from tests.smoke.docker import PROJECT, ROOT, SERVICES, Docker, Stack
from tests.support.waiting import eventually

KEY_FILE = ROOT / "secrets" / "api_key"
MIB = 1024 * 1024
PORTS = {"retriever": 8081, "teacher": 8082, "trainer": 8083, "evaluator": 8084, "console": 8085}
GPU_ONLY = re.compile(r"DCGM_|vllm:")


@pytest.fixture(scope="session", autouse=True)
def _key(stack: Stack) -> Iterator[None]:
    os.environ["MENTOR_API_KEY_FILE"] = str(KEY_FILE)
    yield
    del os.environ["MENTOR_API_KEY_FILE"]


def curl(*arguments: str) -> tuple[int, str]:
    """curl as a user types it: status and body."""
    command = ["curl", "--noproxy", "*", "--silent", "--write-out", "\n%{http_code}", *arguments]
    body, _, code = subprocess.run(command, capture_output=True, text=True, timeout=60).stdout.rpartition("\n")
    return int(code), body


def bearer() -> str:
    return f"Authorization: Bearer {KEY_FILE.read_text()}"


def evaluation(stack: Stack, **changes: Any) -> dict[str, Any]:
    """An evaluation of the served teacher on the example's questions."""
    client = JobClient("http://127.0.0.1:8084")
    example = ROOT / "examples" / "distill"
    return {
        "model": {"url": "http://model:8000", "name": "teacher"}, "questions": client.upload(example / "questions.jsonl"),
        "tools": client.upload(example / "tools.py"), "samples": 1,
        "sampling": {"temperature": 1.0, "max_tokens": 256, "seed": 0}, "limits": {"max_turns": 6, "max_response_tokens": 768},
        "concurrency": 8, **changes,
    }  # fmt: skip


def test_a_distillation_runs_through_the_published_ports(stack: Stack, tmp_path: Path, figures: dict[str, Any]) -> None:
    figures["idle_memory_mib"] = memory(stack)
    command = [
        sys.executable,
        "-m",
        "mentor.cli",
        "distill",
        "examples/distill/compose.yaml",
        "--output",
        str(tmp_path),
    ]
    started = time.monotonic()
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
    figures["distill_s"] = round(time.monotonic() - started, 1)
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert (tmp_path / "report.html").stat().st_size > 10_000
    assert {"teacher", "vanilla", "trained"} <= set(summary["models"])


def test_the_evaluation_endpoint_serves_its_result_to_curl(stack: Stack) -> None:
    assert curl("http://127.0.0.1:8084/v1/jobs")[0] == 401
    body = json.dumps({"kind": "evaluate", "spec": evaluation(stack)})
    code, text = curl("-X", "POST", "http://127.0.0.1:8084/v1/jobs", "-H", bearer(), "-H", "content-type: application/json",
                      "-H", "idempotency-key: smoke-curl", "-d", body)  # fmt: skip
    assert code == 201, text
    job = f"http://127.0.0.1:8084/v1/jobs/{json.loads(text)['id']}"

    def state() -> dict[str, Any] | None:
        now: dict[str, Any] = json.loads(curl(job, "-H", bearer())[1])
        return now if now["state"] not in ("queued", "running") else None

    ended = eventually(state, 120, what="the evaluation to end")
    assert ended["state"] == "succeeded", ended["error"]
    assert 0.3 < ended["result"]["accuracy"]["mean"] <= 1
    code, report = curl(f"{job}/artifacts/report.json", "-H", bearer())
    assert code == 200
    assert json.loads(report)["accuracy"] == ended["result"]["accuracy"]


def test_benchmarks_run_as_one_job_in_the_containers(stack: Stack) -> None:
    """The tiny world with tools and without, and BFCL, whose checkers run in disposable processes of a read-only container."""
    body = {
        "models": [{"name": "teacher", "model": {"url": "http://model:8000", "name": "teacher"}}],
        "suites": ["tiny", "bfcl-simple_python"], "tools": "both", "max_questions": 3, "concurrency": 8,
        "sampling": {"max_tokens": 128, "seed": 0}, "limits": {"max_turns": 6, "max_response_tokens": 512},
        "options": {"bfcl": {"mode": "prompt"}},
    }  # fmt: skip
    address = "http://127.0.0.1:8084/v1/evaluations"
    json_header = ("-H", "content-type: application/json")
    code, text = curl("-X", "POST", address, "-H", bearer(), *json_header, "-d", json.dumps(body))
    assert code == 201, text
    job = f"{address}/{json.loads(text)['id']}"

    def ended() -> dict[str, Any] | None:
        now: dict[str, Any] = json.loads(curl(job, "-H", bearer())[1])
        return now if now["state"] not in ("queued", "running") else None

    assert (last := eventually(ended, 180, what="the evaluation to end"))["state"] == "succeeded", last["error"]
    results = json.loads(curl(f"{job}/results", "-H", bearer())[1])
    assert len(results["cells"]) == 7 and results["bfcl"]["teacher/tools"]["categories"]["simple_python"]["scored"] == 3
    assert all(cell["infrastructure_failures"] == 0 for cell in results["cells"].values())
    suites = json.loads(curl("http://127.0.0.1:8084/v1/suites", "-H", bearer())[1])["suites"]
    assert {row["suite"]: row["questions"] for row in suites}["tiny-in-domain"] == 102


def test_every_panel_shows_data_of_the_live_prometheus(stack: Stack) -> None:
    """The distillation and the evaluation before have exercised everything but GPUs."""
    retriever_and_grpc(stack)
    with httpx.Client(base_url="http://127.0.0.1:9090", trust_env=False) as client:

        def empty() -> list[str]:
            found = []
            for where, query in panel_queries():
                shown = query.replace("$__rate_interval", "15m")
                answer = client.get("/api/v1/query", params={"query": shown}).json()
                assert answer["status"] == "success", f"{where}: {answer}"
                if not answer["data"]["result"] and not GPU_ONLY.search(query):
                    found.append(f"{where}: {query}")
            return found

        eventually(lambda: not empty(), 60, what="data in every panel")
        assert empty() == []
        rules = client.get("/api/v1/rules").json()["data"]["groups"]
        assert [r["name"] for group in rules for r in group["rules"] if r["health"] != "ok"] == []
        firing = [
            a["labels"]["alertname"]
            for a in client.get("/api/v1/alerts").json()["data"]["alerts"]
            if a["state"] == "firing"
        ]
        assert firing == []


@pytest.mark.parametrize("block", [block for block in blocks() if block.where == "stack"], ids=str)
def test_the_documentations_blocks_run_on_the_stack(stack: Stack, block: Block) -> None:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    command = ["bash", "-euo", "pipefail", "-c", block.text.replace("curl -s", "curl --fail --noproxy '*' -s")]
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | {"PATH": path}, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]


def retriever_and_grpc(stack: Stack) -> None:
    """Use the routes that a distillation does not: searches, and the job API over gRPC."""
    for path, body in (("search", {"query": "apple"}), ("batch_search", {"query": ["apple", "pear"]}),
                       ("retrieve", {"queries": ["apple"], "topk": 1})):  # fmt: skip
        code, text = curl(f"http://127.0.0.1:8081/{path}", "-H", bearer(), "-H", "content-type: application/json",
                          "-d", json.dumps(body))  # fmt: skip
        assert code == 200, text
    script = (
        "import asyncio,grpc\nfrom mentor.rpc.channels import grpc_channel\nfrom mentor.rpc.context import outgoing\n"
        "from mentor.rpc.v1 import jobs_pb2 as j, jobs_pb2_grpc as g, retriever_pb2 as r, retriever_pb2_grpc as h\n"
        "async def main():\n"
        "  for target in ('teacher:50053','trainer:50054','evaluator:50055'):\n"
        "    await g.JobsServiceStub(grpc_channel(target)).ListJobs(j.ListJobsRequest(), metadata=tuple(outgoing().items()))\n"
        "  stub = h.RetrieverServiceStub(grpc_channel('retriever:50052'))\n"
        "  await stub.Search(r.SearchRequest(query='apple'), metadata=tuple(outgoing().items()))\n"
        "asyncio.run(main())\n"
    )
    inside(stack, "teacher", script, key=KEY_FILE.read_text())


def inside(stack: Stack, service: str, script: str, timeout: float = 120, key: str = "") -> str:
    """Run Python in a service's container, with a key where the container has none of its own."""
    container = stack.containers()[service]["Id"]
    given = ("--env", f"MENTOR_API_KEY={key}") if key else ()
    return stack.docker.run("exec", "-i", *given, container, "python", "-", input=script, timeout=timeout)


def memory(stack: Stack) -> dict[str, float]:
    """MiB in use by service."""
    found = {}
    for name, facts in stack.containers().items():
        line = stack.docker.run("stats", "--no-stream", "--format", "{{.MemUsage}}", facts["Id"])
        number, unit = re.match(r"([\d.]+)(\w+)", line).groups()  # type: ignore[union-attr]
        found[name] = round(float(number) * {"KiB": 1 / 1024, "MiB": 1, "GiB": 1024}[unit], 1)
    return found | {"total": round(sum(found.values()), 1)}


def test_every_container_runs_as_the_readme_says(stack: Stack) -> None:
    containers = stack.containers()
    assert len(containers) >= 14
    for name, facts in containers.items():
        host = facts["HostConfig"]
        assert host["ReadonlyRootfs"] and host["CapDrop"] == ["ALL"] and not host["CapAdd"], name
        assert not host["Privileged"] and host["Memory"] > 0 and host["PidsLimit"] > 0 and host["NanoCpus"] > 0, name
        status = Path(f"/proc/{facts['State']['Pid']}/status").read_text()
        fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
        assert int(fields["Uid"].split()[0]) > 0, name
        assert int(fields["CapEff"], 16) == int(fields["CapBnd"], 16) == 0, name
        assert fields["NoNewPrivs"] == "1" and fields["Seccomp"] == "2", name
        for port, bindings in facts["NetworkSettings"]["Ports"].items():
            assert all(binding["HostIp"] == "127.0.0.1" for binding in bindings or []), f"{name}: {port}"


def test_the_sandbox_withstands_escapes_and_keeps_nothing(stack: Stack) -> None:
    sandbox = stack.containers()["sandbox"]

    def processes() -> int:
        return len(stack.docker.run("top", sandbox["Id"]).splitlines()) - 1

    before = processes()
    script = (ROOT / "tests" / "smoke" / "escapes.py").read_text()
    results = json.loads(inside(stack, "teacher-worker", script, timeout=300))
    key = KEY_FILE.read_text()
    for name, result in results.items():
        assert key not in json.dumps(result), name
        refused = result["error"] is not None or (isinstance(result["result"], int) and result["result"] < 0)
        assert refused, f"{name}: {result}"
    eventually(lambda: processes() <= before + 6, 30, what="no process left over in the sandbox")
    after = stack.containers()["sandbox"]
    assert (after["State"]["Pid"], after["RestartCount"]) == (sandbox["State"]["Pid"], 0)
    assert all_ready(stack)


def all_ready(stack: Stack) -> bool:
    return all(curl(f"http://127.0.0.1:{port}/ready")[0] == 200 for port in PORTS.values())


@contextmanager
def calling(stack: Stack) -> Iterator[dict[str, dict[str, int]]]:
    """A container of its own that searches and calls tools all the time; its counts are there after the block."""
    name, counts = f"{PROJECT}-caller", {}
    script = (ROOT / "tests" / "smoke" / "caller.py").read_text()
    stack.compose("run", "-d", "--no-deps", "--name", name, "teacher-worker", "python", "-c", script)
    try:
        yield counts
        stack.docker.run("exec", name, "touch", "/tmp/stop")
        stack.docker.run("wait", name, timeout=120)
        counts.update(json.loads(stack.docker.run("logs", name).splitlines()[-1]))
    finally:
        stack.docker.run("rm", "--force", name, check=False)


def test_a_rolling_restart_loses_no_accepted_request_and_no_job(stack: Stack, figures: dict[str, Any]) -> None:
    client = JobClient("http://127.0.0.1:8084", outage_s=90)
    spec = evaluation(stack, samples=8, concurrency=4)
    jobs = [client.submit("evaluate", spec | {"seed": number}, key=f"rolling-{number}") for number in range(3)]
    order = ["evaluator-worker", "sandbox", "retriever", "model", "evaluator", "teacher", "trainer", "console",
             "teacher-worker", "trainer-worker", "redis", "evaluator-worker"]  # fmt: skip
    started = time.monotonic()
    with calling(stack) as counts:
        for name in order:
            stack.compose("restart", "--timeout", "130", name, timeout=200)
            eventually(lambda name=name: healthy(stack, name), 90, what=f"{name} to be healthy again")
        again = [client.submit("evaluate", spec | {"seed": number}, key=f"rolling-{number}") for number in range(3)]
        ended = [client.wait(job.id) for job in jobs]
    figures["rolling_restart_s"] = round(time.monotonic() - started, 1)
    figures["rolling_restart_calls"] = dict(counts)
    assert [job.id for job in again] == [job.id for job in jobs], "an idempotency key outlives every restart"
    for target, count in counts.items():
        assert count["lost"] == 0 and count["answered"] > 50, f"{target}: {count}"
    for job in ended:
        assert job.state == "succeeded", job.error
        lines = artifact_lines(client, job.id, stack.folder)
        drawn = [(line["question_id"], line.get("sample", 0)) for line in lines]
        assert len(drawn) == len(set(drawn)) == job.result["questions"] * 8  # type: ignore[index]
        assert job.result["infrastructure_failures"] == 0  # type: ignore[index]


def artifact_lines(client: JobClient, job: str, folder: Path) -> list[dict[str, Any]]:
    path = client.fetch(job, "trajectories.jsonl", folder / f"{job}.jsonl")
    return [json.loads(line) for line in path.read_text().splitlines()]


def healthy(stack: Stack, name: str) -> bool:
    state = stack.containers()[name]["State"]
    return bool(state["Running"]) and state.get("Health", {"Status": "healthy"})["Status"] == "healthy"


def test_no_log_line_holds_a_secret(stack: Stack) -> None:
    logs = stack.compose("logs", "--no-color")
    for name in ("api_key", "worker_key", "search_key", "redis_password"):
        assert (ROOT / "secrets" / name).read_text() not in logs, name


@pytest.mark.parametrize("service", SERVICES)
def test_cpu_images_hold_cpu_builds_and_a_bill_of_materials(
    docker: Docker, stack: Stack, service: str, figures: dict[str, Any]
) -> None:
    image = f"mentor-{service}:latest"
    script = (ROOT / "deploy" / "images" / "sbom.py").read_text()
    bill = json.loads(docker.run("run", "--rm", "-i", "--entrypoint", "python", image, "-", input=script))
    names = [component["name"] for component in bill["components"]]
    assert "fastapi" in names and "mentor" in names
    assert [name for name in names if re.match(r"(nvidia|cuda|cupy|triton)", name)] == []
    assert "pip" not in [c["name"] for c in bill["components"] if c["purl"].startswith("pkg:pypi")]
    if service in ("teacher", "trainer", "evaluator"):
        assert "jobs" in docker.run("run", "--rm", image, "mentor", "--help")
    if "torch" in names:
        cuda = docker.run("run", "--rm", image, "python", "-c", "import torch; print(torch.version.cuda)")
        assert cuda.strip() == "None"
    above = (docker.size(image) - docker.size("python:3.11-slim-bookworm")) / MIB
    figures.setdefault("image_mib_above_base", {})[service] = round(above)
    limits = {"sandbox": 250, "retriever": 1024}
    assert above <= limits.get(service, 4096), f"{service} is {above:.0f} MiB above its base"


@pytest.mark.parametrize("service", SERVICES)
def test_the_gpu_target_builds_on_a_stand_in_base_without_the_engine(
    docker: Docker, stack: Stack, service: str
) -> None:
    docker.shell(["bash", "deploy/images/build.sh", "--target", "gpu", service], timeout=1500, REGISTRY="check",
                 GPU_BASE_IMAGE="python:3.11-slim-bookworm", ENGINE_PACKAGES="omit")  # fmt: skip
    user = docker.inspect(f"check/mentor-{service}-gpu")["Config"]["User"]
    assert user == "10001:10001"


def test_nothing_is_left_after_down(stack: Stack) -> None:
    pids = [facts["State"]["Pid"] for facts in stack.containers().values()]
    stack.down()
    assert stack.compose("ps", "--quiet") == ""
    for what in ("container", "network", "volume"):
        flag = ["--all"] if what == "container" else []
        label = f"label=com.docker.compose.project={PROJECT}"
        assert stack.docker.run(what, "ls", "--quiet", *flag, "--filter", label) == "", what
    assert [pid for pid in pids if Path(f"/proc/{pid}").exists()] == []
