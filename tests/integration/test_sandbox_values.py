"""Any value that JSON can hold goes into a real sandbox and comes out equal, by every way in."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import grpc
import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mentor.rpc.v1 import sandbox_pb2 as pb
from mentor.rpc.v1.sandbox_pb2_grpc import SandboxServiceStub
from mentor.tools.values import decode_value
from tests.support.service_process import ServiceProcess, running_process

TOOLS = '''
def echo(value):
    """Give back what was given.

    Args:
        value: anything.
    """
    return value

TOOLS = [{"name": "echo", "description": "Give back.", "parameters": {"type": "object", "properties": {"value": {}}}}]
'''
SOURCE = "def echo(value):\n    return value\n"
TEXT = st.text(st.characters(codec=None, exclude_categories=()))
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT
KEYS = TEXT | st.sampled_from(["__float__", "__dict__", "__set__", "__repr__", ""])
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(KEYS, inner), max_leaves=20)
BATCHES = st.lists(VALUES, min_size=1, max_size=8)
MANY = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    tools = tmp_path_factory.mktemp("tools") / "tools.py"
    tools.write_text(TOOLS)
    with running_process("mentor_sandbox", "--set", f"tools_path={tools}") as service:
        yield service


def same(back: Any, value: Any) -> bool:
    """Equal, and of the same types throughout: 1, 1.0 and True are told apart, and so are 0.0 and -0.0."""
    return json.dumps(back) == json.dumps(value)


def rest(client: httpx.Client, calls: list[dict[str, Any]]) -> list[Any]:
    body = json.dumps({"calls": calls})
    response = client.post("/v1/execute_batch", content=body, headers={"content-type": "application/json"})
    assert response.status_code == 200, response.text
    return [decode_value(result["value_json"]) for result in response.json()["results"]]


@pytest.mark.parametrize("target", [{"tool": "echo"}, {"source": SOURCE, "function": "echo"}], ids=["tool", "source"])
def test_over_rest(sandbox: ServiceProcess, target: dict[str, Any]) -> None:
    with httpx.Client(base_url=sandbox.http, timeout=60, trust_env=False) as client:

        @MANY
        @given(BATCHES)
        def check(values: list[Any]) -> None:
            back = rest(client, [{**target, "arguments": {"value": value}} for value in values])
            assert same(back, values)

        check()


@pytest.mark.parametrize("lane", ["tool", "source"])
def test_over_grpc(sandbox: ServiceProcess, lane: str) -> None:
    def call(value: Any) -> pb.ToolCall:
        arguments = json.dumps({"value": value})
        if lane == "tool":
            return pb.ToolCall(tool="echo", arguments_json=arguments)
        return pb.ToolCall(source=pb.SourceCall(source=SOURCE, function="echo"), arguments_json=arguments)

    with grpc.insecure_channel(sandbox.grpc) as channel:
        stub: Any = SandboxServiceStub(channel)

        @MANY
        @given(BATCHES)
        def check(values: list[Any]) -> None:
            request = pb.ExecuteBatchRequest(calls=[call(value) for value in values])
            results = stub.ExecuteBatch(request, timeout=60).results
            assert same([decode_value(result.value_json) for result in results], values)

        check()


def test_deep_and_large_values(sandbox: ServiceProcess) -> None:
    deep: list[Any] = [1]
    for _ in range(400):
        deep = [deep]
    values = [deep, "x" * 1_000_000, list(range(50_000)), 10**4000, -(10**4000), {"": {"\0": [{}]}}]
    with httpx.Client(base_url=sandbox.http, timeout=60, trust_env=False) as client:
        for target in ({"tool": "echo"}, {"source": SOURCE, "function": "echo"}):
            assert same(rest(client, [{**target, "arguments": {"value": value}} for value in values]), values)


def test_what_only_python_has_is_explicit_through_the_service(sandbox: ServiceProcess) -> None:
    expressions = {
        "float('-inf')": float("-inf"),
        "{1, (2, 3)}": {1, (2, 3)},
        "b'\\xff'": b"\xff",
        "{(1, 2): 'x'}": {(1, 2): "x"},
        "2 ** 20000": 2**20000,
        "[-0.0, 1j, ()]": [-0.0, 1j, []],
    }
    calls = [{"env": "", "expression": expression} for expression in expressions]
    with httpx.Client(base_url=sandbox.http, timeout=60, trust_env=False) as client:
        assert rest(client, calls) == list(expressions.values())
