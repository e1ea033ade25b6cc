"""MCP both ways, with real servers and clients: over standard streams and over streamable HTTP."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mcp import Client, StdioServerParameters

from tests.support.service_process import ROOT, ServiceProcess, environment, running_process
from tests.support.waiting import eventually

COMMAND = [sys.executable, "-m", "tests.support.mcp_server"]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def http_server(port: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen([*COMMAND, "http", str(port)], cwd=ROOT, env=environment(), stderr=subprocess.DEVNULL)


@pytest.fixture(scope="module")
def remote() -> Iterator[tuple[int, list[subprocess.Popen[bytes]]]]:
    port = free_port()
    servers = [http_server(port)]
    yield port, servers
    for server in servers:
        server.kill()
        server.wait()


@pytest.fixture(scope="module")
def sandbox(remote: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    config = tmp_path_factory.mktemp("mcp") / "sandbox.json"
    servers = {
        "local": {"command": [*COMMAND, "stdio"], "cwd": str(ROOT), "env": {"PYTHONPATH": str(ROOT)}, "timeout_s": 5},
        "remote": {"url": f"http://127.0.0.1:{remote[0]}/mcp", "tools": ["add", "describe", "wait"]},
        "absent": {"url": f"http://127.0.0.1:{free_port()}/mcp"},
    }
    config.write_text(json.dumps({"mcp_servers": servers}))  # JSON is YAML
    with running_process("mentor_sandbox", "--config", str(config)) as service:
        up = {"local": "up", "remote": "up", "absent": "down"}
        eventually(lambda: service.get("/health").json()["mcp_servers"] == up, what="the servers that exist are up")
        yield service


def call(sandbox: ServiceProcess, tool: str, arguments: dict[str, Any], **more: Any) -> dict[str, Any]:
    response = sandbox.post("/v1/execute", {"tool": tool, "arguments": arguments, **more})
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


@pytest.mark.parametrize("server", ["local", "remote"])
def test_tools_of_a_server_are_registered_and_called_like_any_other(sandbox: ServiceProcess, server: str) -> None:
    tools = {tool["name"]: tool for tool in sandbox.get("/v1/tools").json()["tools"]}
    assert tools[f"{server}__add"]["parameters"]["required"] == ["a", "b"]
    assert call(sandbox, f"{server}__add", {"a": 2, "b": 3})["value_json"] == "5"
    described = json.loads(call(sandbox, f"{server}__describe", {"text": "ab", "repeat": 2})["value_json"])
    assert (described["text"], described["length"]) == ("abab", 4)


def test_arguments_are_checked_before_they_reach_the_server(sandbox: ServiceProcess) -> None:
    wrong = call(sandbox, "local__add", {"a": "two", "b": 3})
    assert (wrong["status"], wrong["error_type"]) == ("invalid_call", "invalid_arguments")


def test_a_tool_that_fails_and_one_that_is_late_are_told_apart(sandbox: ServiceProcess) -> None:
    failed = call(sandbox, "local__fail", {"message": "no such thing"})
    assert failed["status"] == "tool_error"
    assert "no such thing" in failed["error_message"]
    assert call(sandbox, "local__wait", {"seconds": 30}, timeout_s=0.3)["status"] == "timeout"
    assert call(sandbox, "local__add", {"a": 1, "b": 1})["value_json"] == "2"


def test_a_batch_may_mix_lanes(sandbox: ServiceProcess) -> None:
    calls = [
        {"tool": "local__add", "arguments": {"a": 1, "b": 2}},
        {"tool": "add", "arguments": {"firstNumber": 1, "secondNumber": 3}},
        {"env": "", "expression": "5"},
        {"tool": "remote__add", "arguments": {"a": 3, "b": 3}},
    ]
    results = sandbox.post("/v1/execute_batch", {"calls": calls}).json()["results"]
    assert [result["value_json"] for result in results] == ["3", "4", "5", "6"]
    assert sandbox.metric("mentor_sandbox_calls_total", lane="mcp", tool="local__add", status="ok") >= 1


def test_tools_that_were_not_asked_for_are_not_registered(sandbox: ServiceProcess) -> None:
    assert call(sandbox, "remote__die", {})["error_type"] == "unknown_tool"


def test_a_server_that_dies_is_infrastructure_and_is_started_again(sandbox: ServiceProcess) -> None:
    def pid() -> int | None:
        response = sandbox.post("/v1/execute", {"tool": "local__describe", "arguments": {"text": ""}})
        return json.loads(response.json()["value_json"])["pid"] if response.status_code == 200 else None

    before = pid()
    assert sandbox.post("/v1/execute", {"tool": "local__die", "arguments": {}}).status_code == 503
    after = eventually(pid, what="the server is back")
    assert after != before


def test_a_remote_server_that_restarts_is_found_again(sandbox: ServiceProcess, remote: Any) -> None:
    port, servers = remote
    servers[-1].kill()
    servers[-1].wait()
    body = {"tool": "remote__add", "arguments": {"a": 1, "b": 1}}
    eventually(lambda: sandbox.post("/v1/execute", body).status_code == 503, what="its calls are refused as ours")
    servers.append(http_server(port))
    eventually(lambda: sandbox.post("/v1/execute", body).status_code == 200, what="it is found again")


async def use(server: str | StdioServerParameters) -> tuple[list[str], list[Any]]:
    async with Client(server) as client:
        names = [tool.name for tool in (await client.list_tools()).tools]
        good = await client.call_tool("add", {"firstNumber": 2, "secondNumber": 3})
        falsy = await client.call_tool("subtract", {"minuend": 5, "subtrahend": 5})
        failed = await client.call_tool("divide", {"numerator": 1, "denominator": 0})
        wrong = await client.call_tool("sqrt", {"number": "four"})
    return names, [good, falsy, failed, wrong]


def check(names: list[str], answers: list[Any]) -> None:
    good, falsy, failed, wrong = answers
    assert {"add", "divide", "sqrt"} <= set(names)
    assert (good.is_error, good.structured_content, good.content[0].text) == (False, {"result": 5}, "5")
    assert (falsy.is_error, falsy.structured_content) == (False, {"result": 0})
    assert failed.is_error
    assert "ZeroDivisionError" in failed.content[0].text
    assert wrong.structured_content["status"] == "invalid_call"


def test_the_sandbox_is_an_mcp_server_over_http(sandbox: ServiceProcess) -> None:
    names, answers = asyncio.run(use(f"{sandbox.http}/mcp"))
    check(names, answers)
    assert "local__add" in names


def test_the_sandbox_is_an_mcp_server_over_standard_streams(tmp_path: Path) -> None:
    env = {**environment(), "MENTOR_SANDBOX_SCRATCH_ROOT": str(tmp_path), "MENTOR_SANDBOX_LOG_LEVEL": "error"}
    check(*asyncio.run(use(StdioServerParameters(command=sys.executable, args=["-m", "mentor_sandbox.mcp"], env=env))))
    assert not os.listdir(tmp_path)


def test_a_foreign_page_cannot_use_the_endpoint(sandbox: ServiceProcess) -> None:
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    headers = {"accept": "application/json, text/event-stream"}
    origin = {**headers, "origin": "http://evil.example"}
    assert sandbox.post("/mcp", body, headers=origin).status_code == 403
    assert sandbox.post("/mcp", body, headers={**headers, "host": "evil.example"}).status_code == 421
