"""Every RPC of the sandbox and its REST twin say the same, errors included."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import grpc
import httpx
import pytest
import pytest_asyncio

from mentor.rpc.v1 import sandbox_pb2 as pb
from mentor.rpc.v1.sandbox_pb2_grpc import SandboxServiceStub
from mentor.serving import running
from mentor_sandbox.app import build
from mentor_sandbox.settings import SandboxSettings
from tests.contract.twin import Case, Failure, Plain, Twin

FIELDS = tuple(field.name for field in pb.CallResult.DESCRIPTOR.fields)
VOLATILE = frozenset({"duration_ms", "peak_memory_bytes"})


def plain_result(message: pb.CallResult) -> Plain:
    value_json = message.value_json if message.HasField("value_json") else None
    plain = {name: getattr(message, name) for name in FIELDS}
    status = pb.CallStatus.Name(message.status).removeprefix("CALL_STATUS_").lower()
    value = None if value_json is None else json.loads(value_json)
    return {**plain, "status": status, "value_json": value_json, "value": value}


def plain_message(message: Any) -> Plain:
    if isinstance(message, pb.ExecuteResponse):
        return plain_result(message.result)
    if isinstance(message, pb.ExecuteBatchResponse):
        return {"results": [plain_result(result) for result in message.results]}
    tools = [
        {
            "name": tool.name,
            "description": tool.description,
            "parameters": json.loads(tool.parameters_json),
            "timeout_s": tool.timeout_s,
            "id": tool.id,
        }
        for tool in message.tools
    ]
    return {"tools": tools}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def twin() -> AsyncIterator[Twin]:
    settings = SandboxSettings(port=0, grpc_port=0, access_log=False)
    async with running(build(settings)) as server, grpc.aio.insecure_channel(str(server.grpc_target)) as channel:
        stub: Any = SandboxServiceStub(channel)
        yield Twin(server.http_url, stub, plain_message, volatile=VOLATILE)


def one(name: str, body: dict[str, Any], **expected: Any) -> Case:
    return Case(name, "Execute", pb.ExecuteRequest(call=message(body)), "/v1/execute", body, expected=expected)


def refused(name: str, body: dict[str, Any], call: pb.ToolCall, mentions: str) -> Case:
    failure = Failure("invalid_argument", mentions)
    return Case(name, "Execute", pb.ExecuteRequest(call=call), "/v1/execute", body, expected=failure)


def message(body: dict[str, Any]) -> pb.ToolCall:
    call = pb.ToolCall(arguments_json=json.dumps(body.get("arguments", {})), timeout_s=body.get("timeout_s", 0))
    if "tool" in body:
        call.tool = body["tool"]
    if "function" in body:
        call.source.source, call.source.function = body["source"], body["function"]
    if "expression" in body:
        call.expression.env, call.expression.expression = body.get("env", ""), body["expression"]
    return call


def batch(name: str, bodies: list[dict[str, Any]], expected: Any) -> Case:
    request = pb.ExecuteBatchRequest(calls=[message(body) for body in bodies])
    return Case(name, "ExecuteBatch", request, "/v1/execute_batch", {"calls": bodies}, expected=expected)


def in_order(plain: Plain) -> None:
    assert [result["value"] for result in plain["results"]] == [3, None, 0]
    assert [result["status"] for result in plain["results"]] == ["ok", "tool_error", "ok"]


def twelve_sorted(plain: Plain) -> None:
    names = [tool["name"] for tool in plain["tools"]]
    assert len(names) == 12
    assert names == sorted(names)
    divide = next(tool for tool in plain["tools"] if tool["name"] == "divide")
    assert divide["parameters"]["required"] == ["numerator", "denominator"]


ADD = {"tool": "add", "arguments": {"firstNumber": 1, "secondNumber": 2}}
BY_ZERO = {"tool": "divide", "arguments": {"numerator": 1, "denominator": 0}}
ZERO = {"tool": "subtract", "arguments": {"minuend": 5, "subtrahend": 5}}
SOURCE = {"source": "def twice(x):\n    return 2 * x", "function": "twice", "arguments": {"x": "ab"}}
TOO_LONG = {**ADD, "timeout_s": 1e6}

CASES = [
    one("a registered tool", ADD, status="ok", value=3),
    one("a falsy result", ZERO, status="ok", value_json="0"),
    one("a tool that raises", BY_ZERO, status="tool_error", error_type="ZeroDivisionError", value_json=None),
    one("an unknown tool", {"tool": "calculate"}, status="invalid_call", error_type="unknown_tool"),
    one("missing arguments", {"tool": "add", "arguments": {"firstNumber": 1}}, status="invalid_call"),
    one("arguments of the wrong type", {"tool": "sqrt", "arguments": {"number": "4"}}, status="invalid_call"),
    one("a function of source", SOURCE, status="ok", value="abab"),
    one("a function that the source lacks", {**SOURCE, "function": "thrice"}, status="invalid_call"),
    one("arguments that do not bind", {**SOURCE, "arguments": {"y": 1}}, status="invalid_call"),
    one("an expression", {"env": "a = 20", "expression": "a + 1"}, status="ok", value=21),
    one("None as a value", {"env": "", "expression": "None"}, status="ok", value_json="null"),
    one("infinity", {"env": "", "expression": "1e999"}, status="ok", value={"__float__": "inf"}),
    one("an expression that does not parse", {"env": "", "expression": "1 +"}, status="invalid_call"),
    one("output on both streams", {"env": "import sys\nprint('o')\nprint('e', file=sys.stderr)", "expression": "0"},
        stdout="o\n", stderr="e\n"),
    one("a time-out", {"env": "while True: pass", "expression": "0", "timeout_s": 0.3}, status="timeout"),
    one("too much memory", {"env": "x = bytearray(10**11)", "expression": "0"}, status="memory"),
    one("a process that exits", {"env": "import os\nos._exit(3)", "expression": "0"}, status="killed"),
    one("lone surrogates", {"env": "", "expression": r"'\ud800'"}, value_json=r'"\ud800"'),
    refused("no target", {}, pb.ToolCall(), "exactly one of"),
    refused("a time limit beyond the service's", TOO_LONG, message(TOO_LONG), "time limit"),
    batch("a batch in order", [ADD, BY_ZERO, ZERO], in_order),
    batch("an empty batch", [], Failure("invalid_argument", "a batch has")),
    batch("a batch beyond the limit", [ADD] * 1025, Failure("invalid_argument", "a batch has")),
    Case("the registered tools", "ListTools", pb.ListToolsRequest(), "/v1/tools", method="GET", expected=twelve_sorted),
]  # fmt: skip


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_rpc_and_rest_agree(twin: Twin, case: Case) -> None:
    await twin.check(case)


async def streamed(twin: Twin, bodies: list[dict[str, Any]]) -> tuple[dict[int, Plain], dict[int, Plain]]:
    """Results by index over gRPC, and over REST as lines of JSON."""
    request = pb.ExecuteStreamRequest(calls=[message(body) for body in bodies])
    over_grpc: dict[int, Plain] = {}
    async for part in twin.stub.ExecuteStream(request, timeout=60):
        over_grpc |= {item.index: plain_result(item.result) for item in part.results}
    async with httpx.AsyncClient(base_url=twin.http_url, trust_env=False, timeout=60) as client:
        response = await client.post("/v1/execute_stream", json={"calls": bodies})
    lines = [json.loads(line) for line in response.text.splitlines()]
    over_rest = {line["index"]: line["result"] for line in lines}
    for results in (over_grpc, over_rest):
        for result in results.values():
            assert result.pop("peak_memory_bytes") > 0
            assert result.pop("duration_ms") > 0
    return over_grpc, over_rest


@pytest.mark.asyncio(loop_scope="module")
async def test_a_stream_says_the_same_over_both_transports(twin: Twin) -> None:
    over_grpc, over_rest = await streamed(twin, [ADD, BY_ZERO, SOURCE, ZERO])
    assert over_grpc == over_rest
    assert [over_grpc[index]["value"] for index in range(4)] == [3, None, "abab", 0]


@pytest.mark.asyncio(loop_scope="module")
async def test_a_streams_results_come_as_they_finish(twin: Twin) -> None:
    slow = {"env": "import time", "expression": "time.sleep(1)"}
    order: list[int] = []
    request = pb.ExecuteStreamRequest(calls=[message(slow), message(ADD), message(SOURCE)])
    async for part in twin.stub.ExecuteStream(request, timeout=60):
        order += [item.index for item in part.results]
    assert sorted(order) == [0, 1, 2]
    assert order[-1] == 0


@pytest.mark.asyncio(loop_scope="module")
async def test_a_stream_that_is_refused_is_an_error_and_no_stream(twin: Twin) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        async for _ in twin.stub.ExecuteStream(pb.ExecuteStreamRequest(), timeout=60):
            raise AssertionError("an empty stream has no results")
    async with httpx.AsyncClient(base_url=twin.http_url, trust_env=False) as client:
        response = await client.post("/v1/execute_stream", json={"calls": []})
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert response.status_code == 400
    assert response.json()["error"]["field"] == "calls"


def test_every_rpc_has_a_case() -> None:
    methods = {method.name for method in pb.DESCRIPTOR.services_by_name["SandboxService"].methods}
    assert methods == {case.rpc for case in CASES} | {"ExecuteStream"}
