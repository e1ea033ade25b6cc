"""The sandbox when things go wrong around it: lost zygotes, overload, vanished clients, shutdown, bad settings."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest

from mentor.errors import InfrastructureError, OverloadedError, UserError
from mentor.rpc.retry import RetryPolicy
from mentor.rpc.v1 import sandbox_pb2 as pb
from mentor.rpc.v1.sandbox_pb2_grpc import SandboxServiceStub
from mentor.serving import running
from mentor.tools import MATH_TOOLS, ToolSpec
from mentor.tools.executor import Toolset
from mentor.tools.executor_sandbox import SandboxExecutor
from mentor.trajectory import ToolCall
from mentor_sandbox.app import build
from mentor_sandbox.settings import SandboxSettings
from mentor_sandbox.supervise.files.root import ScratchRoot
from mentor_sandbox.supervise.limits import Limits
from mentor_sandbox.supervise.processes import zygote as processes
from mentor_sandbox.supervise.processes.execution import Execution
from mentor_sandbox.supervise.processes.ticker import Ticker
from mentor_sandbox.supervise.verdicts import verdict
from tests.support.service_process import ServiceProcess, run_to_exit, running_process
from tests.support.waiting import eventually

SLOW = {"env": "import time", "expression": "time.sleep(1.5)", "timeout_s": 10}
# Goes on until the test lets it: nothing here depends on how fast the machine is.
HELD = {
    "env": "import os, time\nwhile not os.path.exists('released'): time.sleep(0.02)",
    "expression": "0",
    "timeout_s": 60,
}
LOOP: dict[str, Any] = {"env": "while True: pass", "expression": "0", "timeout_s": 20}


def zygote_pids(sandbox: ServiceProcess) -> list[int]:
    zygotes = sandbox.get("/health").json()["zygotes"]["core"]
    return [member["pid"] for member in zygotes if member["alive"]]


def running_calls(sandbox: ServiceProcess) -> float:
    return sandbox.metric("mentor_sandbox_calls_in_flight")


def test_a_lost_zygote_is_infrastructure_and_is_replaced() -> None:
    with running_process("mentor_sandbox") as sandbox, ThreadPoolExecutor(1) as threads:
        lost = threads.submit(sandbox.post, "/v1/execute", LOOP)
        eventually(lambda: running_calls(sandbox) == 1)
        before = zygote_pids(sandbox)
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        response = lost.result()
        assert response.status_code == 503
        assert response.json()["error"]["code"] == "unavailable"
        eventually(lambda: sandbox.get("/ready").status_code == 200, within=20)
        eventually(lambda: zygote_pids(sandbox), within=20)
        assert not set(zygote_pids(sandbox)) & set(before)
        assert sandbox.post("/execute", {"env": "", "call": "1 + 1"}).json()["result"] == 2
        assert sandbox.metric("mentor_sandbox_zygote_restarts_total", kind="core") == len(before)


def test_the_calls_of_a_killed_server_die_with_it() -> None:
    with running_process("mentor_sandbox") as sandbox, ThreadPoolExecutor(1) as threads:
        lost = threads.submit(sandbox.post, "/v1/execute", LOOP)
        eventually(lambda: running_calls(sandbox) == 1)
        (zygote,) = zygote_pids(sandbox)
        children = Path(f"/proc/{zygote}/task/{zygote}/children").read_text().split()
        assert len(children) == 1 + sum(group["count"] for group in sandbox.get("/health").json()["workers"])
        sandbox.process.kill()
        eventually(lambda: not any(_alive(int(pid)) for pid in (zygote, *children)), within=10)
        assert isinstance(lost.exception(), httpx.TransportError)


def test_what_a_killed_server_left_is_removed_by_the_next_and_nothing_else(tmp_path: Path) -> None:
    root = ("--set", f"scratch_root={tmp_path}")
    with running_process("mentor_sandbox", *root) as killed, running_process("mentor_sandbox", *root) as other:
        kept = {Path(other.post("/execute", {"env": "import os", "call": "os.getcwd()"}).json()["result"]).parent}
        assert len(set(tmp_path.iterdir())) == 2
        killed.process.kill()
        killed.process.wait()
        with running_process("mentor_sandbox", *root) as fresh:
            kept.add(Path(fresh.post("/execute", {"env": "import os", "call": "os.getcwd()"}).json()["result"]).parent)
            assert set(tmp_path.iterdir()) == kept
    assert list(tmp_path.iterdir()) == []


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def release(root: Path, calls: Sequence[Future[httpx.Response]]) -> list[httpx.Response]:
    """The answers of calls that are `HELD`, each let go as soon as it has a folder below `root`."""

    def all_ended() -> bool:
        for parent, folders, _ in os.walk(root):
            for name in folders:
                with suppress(FileNotFoundError):  # removed between the walk and this
                    Path(parent, name, "released").touch()
        return all(call.done() for call in calls)

    eventually(all_ended, within=30)
    return [call.result() for call in calls]


def test_a_full_queue_refuses_at_once_with_a_time_to_come_back(tmp_path: Path) -> None:
    given = ("max_concurrency=1", "slow_slots=0", "max_queue=1", f"scratch_root={tmp_path}")
    limits = [part for setting in given for part in ("--set", setting)]
    with running_process("mentor_sandbox", *limits) as sandbox, ThreadPoolExecutor(2) as threads:
        accepted = [threads.submit(sandbox.post, "/v1/execute", HELD) for _ in range(2)]
        eventually(lambda: sandbox.metric("mentor_sandbox_queue_depth") == 1)
        refused = sandbox.post("/execute", {"env": "", "call": "1"})
        assert refused.status_code == 429
        assert int(refused.headers["retry-after"]) >= 1
        assert refused.json()["error"]["code"] == "overloaded"
        with grpc.insecure_channel(sandbox.grpc) as channel:
            stub: Any = SandboxServiceStub(channel)
            one = pb.ToolCall(expression=pb.ExpressionCall(expression="1"))
            with pytest.raises(grpc.RpcError) as caught:
                stub.Execute(pb.ExecuteRequest(call=one), timeout=20)
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        trailers: Any = caught.value.trailing_metadata()
        assert "retry-after" in dict(trailers)
        assert [answer.json()["status"] for answer in release(tmp_path, accepted)] == ["ok", "ok"]


def test_a_batch_that_does_not_fit_is_refused_whole(tmp_path: Path) -> None:
    given = ("max_concurrency=1", "slow_slots=0", "max_queue=4", f"scratch_root={tmp_path}")
    limits = [part for setting in given for part in ("--set", setting)]
    with running_process("mentor_sandbox", *limits) as sandbox, ThreadPoolExecutor(3) as threads:
        before = [threads.submit(sandbox.post, "/v1/execute", HELD) for _ in range(2)]
        eventually(lambda: sandbox.metric("mentor_sandbox_queue_depth") == 1)
        one = {"env": "", "expression": "1"}
        assert sandbox.post("/v1/execute_batch", {"calls": [one] * 4}).status_code == 429
        fits = threads.submit(sandbox.post, "/v1/execute_batch", {"calls": [one] * 3})
        eventually(lambda: sandbox.metric("mentor_sandbox_queue_depth") == 4)
        assert [answer.status_code for answer in release(tmp_path, before)] == [200, 200]
        assert [result["value"] for result in fits.result().json()["results"]] == [1, 1, 1]


def test_a_caller_that_vanishes_stops_its_call() -> None:
    with running_process("mentor_sandbox") as sandbox:
        with grpc.insecure_channel(sandbox.grpc) as channel:
            stub: Any = SandboxServiceStub(channel)
            expression = pb.ExpressionCall(env=LOOP["env"], expression="0")
            call = stub.Execute.future(pb.ExecuteRequest(call=pb.ToolCall(expression=expression, timeout_s=60)))
            eventually(lambda: running_calls(sandbox) == 1)
            call.cancel()
        eventually(lambda: running_calls(sandbox) == 0, within=10)


def test_sigterm_finishes_what_is_in_flight_and_exits_with_zero() -> None:
    with running_process("mentor_sandbox") as sandbox, ThreadPoolExecutor(1) as threads:
        in_flight = threads.submit(sandbox.post, "/v1/execute", SLOW)
        eventually(lambda: running_calls(sandbox) == 1)
        assert sandbox.stop() == 0
        assert in_flight.result().json()["status"] == "ok"


def test_a_taken_port_is_one_line_and_exit_code_1() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        for flag in ("--port", "--grpc-port"):
            other = "--grpc-port" if flag == "--port" else "--port"
            code, output = run_to_exit("mentor_sandbox", flag, str(port), other, "0")
            assert code == 1
            assert f"127.0.0.1:{port}" in output.splitlines()[-1]
            assert "Traceback" not in output


def test_a_scratch_root_that_cannot_be_written_is_one_line() -> None:
    code, output = run_to_exit("mentor_sandbox", "--port", "0", "--grpc-port", "0", "--set", "scratch_root=/dev/null/x")
    complaint = [line for line in output.splitlines() if not line.startswith("{")]
    assert code == 2
    assert len(complaint) == 1
    assert "/dev/null/x" in complaint[0]


@pytest.mark.parametrize(
    ("arguments", "env", "named"),
    [
        (("--port", "99999"), {}, "port"),
        (("--set", "max_concurrency=0"), {}, "max_concurrency"),
        (("--set", "no_such=1"), {}, "no_such"),
        ((), {"MENTOR_SANDBOX_MEMORY_MB": "lots"}, "memory_mb"),
        (("--config", "/nowhere.yaml"), {}, "/nowhere.yaml"),
        (("--set", "tools_path=/nowhere.py"), {}, "/nowhere.py"),
        (("--set", "default_timeout_s=900"), {}, "default_timeout_s"),
    ],
)
def test_a_bad_setting_is_one_line_that_names_it(arguments: tuple[str, ...], env: dict[str, str], named: str) -> None:
    code, output = run_to_exit("mentor_sandbox", *arguments, env=env)
    assert code == 2
    assert len(output.splitlines()) == 1
    assert named in output


async def test_without_seccomp_orphans_that_daemonise_are_still_killed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if os.geteuid() != 0:
        pytest.skip("without seccomp, a user other than root is refused new processes by RLIMIT_NPROC")
    boot = processes._BOOT.replace(
        "from mentor_sandbox.zygote", "from mentor_sandbox.walls import seccomp; seccomp.available = lambda: False; "
        "from mentor_sandbox.zygote"
    )  # fmt: skip
    monkeypatch.setattr(processes, "_BOOT", boot)
    zygote = processes.ZygoteProcess("core", SandboxSettings())
    await zygote.start()
    source = """
import os, time
def daemonise():
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                os.setsid()
            time.sleep(1000)
        time.sleep(1000)
    return "left"
"""
    request: dict[str, Any] = {
        "role": "call",
        "nonce": 1,
        "code": None,
        "source": source,
        "function": "daemonise",
        "arguments": {},
        "expression": None,
    }
    settings = SandboxSettings()
    root = ScratchRoot(tmp_path)
    execution = Execution(zygote, settings, root, Ticker())
    outcome = await execution.run(request, Limits.of(settings, 5))
    children = Path(f"/proc/{zygote.pid}/task/{zygote.pid}/children")
    await asyncio.to_thread(eventually, lambda: not children.read_text().strip(), 10)
    zygote.stop()
    assert verdict(outcome, 1, settings).value_json == '"left"'
    assert [path.name for path in root.path.iterdir()] == ["lock"]
    root.remove()
    assert list(tmp_path.iterdir()) == []


async def test_the_client_raises_when_nothing_listens_and_recovers_when_something_does() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    call = ToolCall(name="add", arguments={"firstNumber": 1, "secondNumber": 2})
    for endpoint in (f"127.0.0.1:{port}", f"http://127.0.0.1:{port}"):
        executor = SandboxExecutor(endpoint, RetryPolicy(attempts=3, backoff_s=0.05, deadline_s=5))
        toolset = Toolset(MATH_TOOLS, {"sandbox": executor})
        with pytest.raises(InfrastructureError, match=str(port)):
            await toolset.run(call)
        ports = {"grpc_port": port, "port": 0} if not endpoint.startswith("http") else {"port": port, "grpc_port": 0}
        async with running(build(SandboxSettings(**ports))):
            patient = SandboxExecutor(endpoint, RetryPolicy(deadline_s=30))
            observation = await Toolset(MATH_TOOLS, {"sandbox": patient}).run(call)
            await patient.close()
        await executor.close()
        assert (observation.content, observation.ok) == ("3", True)


@pytest.mark.parametrize("transport", ["grpc", "http"])
async def test_what_the_model_reads_for_each_kind_of_outcome(transport: str) -> None:
    slow = ToolSpec(name="slow", description="", source="def slow():\n    while True: pass", timeout_s=0.3)
    own = ToolSpec(
        name="shout",
        description="",
        parameters={"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]},
        source="def shout(text):\n    return text.upper()",
    )
    expected = [
        (ToolCall(name="divide", arguments={"numerator": 6, "denominator": 3}), "2.0", None),
        (ToolCall(name="subtract", arguments={"minuend": 5, "subtrahend": 5}), "0", None),
        (ToolCall(name="shout", arguments={"text": "ß"}), "SS", None),
        (ToolCall(name="power", arguments={"base": -8, "exponent": 0.5}), "j)", None),
        (ToolCall(name="divide", arguments={"numerator": 6, "denominator": 0}),
         "Error: ZeroDivisionError: division by zero", "tool_error"),
        (ToolCall(name="calculate"), "Error: unknown tool 'calculate'", "unknown_tool"),
        (ToolCall(name="add", arguments={"secondNumber": 1}), "Error: invalid arguments for add: missing 'firstNumber'",
         "invalid_arguments"),
        (ToolCall(name="add", arguments={"firstNumber": 1, "secondNumber": 1, "x": 1}), "unexpected 'x'",
         "invalid_arguments"),
        (ToolCall(name="", error="no closing tag"), "no closing tag", "malformed_call"),
        (ToolCall(name="shout", arguments={"text": "\ud800"}), r"\ud800", None),
        (ToolCall(name="\ud800"), r"\ud800", "unknown_tool"),
        (ToolCall(name="abs_value", arguments={"number": float("-inf")}), "Infinity", None),
        (ToolCall(name="slow"), "Error: the call exceeded its time limit of 0.3 s", "timeout"),
    ]  # fmt: skip
    async with running(build(SandboxSettings(port=0, grpc_port=0))) as server:
        executor = SandboxExecutor(server.http_url if transport == "http" else str(server.grpc_target))
        toolset = Toolset([*MATH_TOOLS, slow, own], {"sandbox": executor})
        observations = await toolset.run_all([call for call, _, _ in expected])
        await executor.close()
    for (call, content, error_type), seen in zip(expected, observations, strict=True):
        assert content in seen.content, call
        assert seen.error_type == error_type
        assert seen.ok == (error_type is None)
        assert seen.executed == (error_type in (None, "tool_error", "timeout"))


async def test_an_overload_that_lasts_is_raised_and_a_refused_request_is_not_retried() -> None:
    settings = SandboxSettings(port=0, grpc_port=0, max_concurrency=1, max_queue=0, slow_slots=0, workers=2)
    async with running(build(settings)) as server:
        executor = SandboxExecutor(str(server.grpc_target), RetryPolicy(attempts=2, backoff_s=0.01, deadline_s=10))
        busy = asyncio.create_task(executor.run(LOOP))
        while server.service.health()["zygotes"]["core"][0]["calls"] <= 2:
            await asyncio.sleep(0.01)
        with pytest.raises(OverloadedError, match="after 2 attempts"):
            await executor.run({"env": "", "expression": "1"})
        with pytest.raises(UserError, match="time limit"):
            await executor.run({"tool": "add", "timeout_s": 1e9})
        busy.cancel()
        await executor.close()
