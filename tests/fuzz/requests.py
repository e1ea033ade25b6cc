"""Request bodies and messages, valid, nearly valid and nonsense, for every route and RPC of the sandbox."""

from __future__ import annotations

import json
from typing import Any

from google.protobuf.message import Message
from hypothesis import strategies as st

from mentor.rpc.v1 import programs_pb2 as programs
from mentor.rpc.v1 import sandbox_pb2 as calls
from mentor.rpc.v1 import sessions_pb2 as sessions

TEXT = st.text(st.characters(codec=None, exclude_categories=()), max_size=20)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=10,
)
CODE = st.sampled_from(
    ["1", "x = 1", "def f(x=1): return x", "1 +", "print('a')", "\0", "raise SystemExit(2)", "\ud800"]
)
PATHS = st.sampled_from(["a", "a/b", "../a", "/a", "", ".", "a//b", "a\0", "é" * 200, "\ud800", "a/../b"])
NAMES = st.sampled_from(["add", "sum_numbers", "sqrt", "f", "nobody", "", "__import__", "\ud800"])
SECONDS = st.sampled_from([None, 0, -1, 0.5, 1, 1e300, float("nan"), float("inf"), "1", [], True])
FILES = st.dictionaries(PATHS, st.sampled_from(["", "eA==", "x", "eA", None, 1]), max_size=3)
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "code": CODE,
    "source": CODE,
    "env": CODE,
    "expression": CODE,
    "call": CODE,
    "cells": st.lists(CODE, max_size=2),
    "function": NAMES,
    "tool": NAMES,
    "language": st.sampled_from(["python", "cpp", "", None]),
    "arguments": st.dictionaries(st.sampled_from(["x", "number", "firstNumber", "numbers"]) | TEXT, JSON, max_size=3),
    "timeout": SECONDS,
    "timeout_s": SECONDS,
    "run_timeout": SECONDS,
    "compile_timeout": SECONDS,
    "cell_timeout": SECONDS,
    "total_timeout": SECONDS,
    "idle_timeout_s": SECONDS,
    "memory_limit_MB": st.sampled_from([-1, 0, 64, 10**9, "x", None]),
    "memory_mb": st.sampled_from([None, -1, 0, 64, 10**30]),
    "stdin": TEXT | st.none(),
    "files": FILES,
    "fetch_files": st.lists(PATHS, max_size=3),
    "paths": st.lists(PATHS, max_size=3),
    "kernel": st.sampled_from(["python3", "x"]),
    "jsonrpc": st.sampled_from(["2.0", "1"]),
    "id": st.integers() | TEXT,
    "method": st.sampled_from(["initialize", "tools/list", "tools/call", "ping", "x"]),
    "params": st.fixed_dictionaries({}, optional={"name": NAMES, "arguments": JSON}) | JSON,
}
ROUTES: dict[str, tuple[str, ...]] = {
    "/execute": ("env", "call", "timeout"),
    "/v1/execute": ("tool", "source", "function", "env", "expression", "arguments", "timeout_s"),
    "/v1/execute_batch": ("calls",),
    "/v1/execute_stream": ("calls",),
    "/run_code": (
        "code",
        "language",
        "compile_timeout",
        "run_timeout",
        "memory_limit_MB",
        "stdin",
        "files",
        "fetch_files",
    ),
    "/v1/run": ("code", "stdin", "files", "fetch_files", "timeout_s", "memory_mb"),
    "/run_jupyter": ("cells", "cell_timeout", "total_timeout", "memory_limit_MB", "kernel", "files", "fetch_files"),
    "/v1/sessions": ("memory_mb", "idle_timeout_s", "files"),
    "/v1/sessions/{id}/execute": ("code", "timeout_s"),
    "/v1/sessions/{id}/files": ("files",),
    "/v1/sessions/{id}/files/get": ("paths",),
    "/v1/sessions/{id}/restore": ("files",),
    "/mcp": ("jsonrpc", "id", "method", "params"),
}


def bodies(path: str) -> st.SearchStrategy[bytes]:
    """Bodies for a route: of its fields, of anything, and bytes that are no JSON."""
    known = st.fixed_dictionaries({}, optional={name: field(name) | JSON for name in ROUTES[path]})
    usual = st.fixed_dictionaries({name: field(name) for name in ROUTES[path][:3]})
    values = usual | usual | known | JSON
    encoded = values.map(lambda value: json.dumps(value).encode())
    deep = st.integers(1, 3000).map(lambda depth: b"[" * depth + b"]" * depth)
    huge = st.just(b'{"code": ' + b"9" * 6000 + b"}")
    return encoded | encoded | encoded | st.binary(max_size=50) | deep | huge


def field(name: str) -> st.SearchStrategy[Any]:
    """Values of a field."""
    if name != "calls":
        return FIELDS[name]
    one = st.fixed_dictionaries({}, optional={part: FIELDS[part] for part in ROUTES["/v1/execute"]})
    return st.lists(one, max_size=3)


def messages(kind: type[Message]) -> st.SearchStrategy[bytes]:
    """Messages of a type as they are sent: well formed with odd contents, and bytes that are no message."""
    return st.one_of(*(_well_formed(kind) for _ in range(3)), st.binary(max_size=60))


def _well_formed(kind: type[Message]) -> st.SearchStrategy[bytes]:
    floats = st.sampled_from([0.0, 0.5, -1.0, 1e300, float("nan"), float("inf")])
    clean = st.text(max_size=20)
    code = CODE.filter(lambda text: "\ud800" not in text)
    names = NAMES.filter(lambda text: "\ud800" not in text)
    arguments = st.sampled_from(["", "{}", '{"x": 1}', "[", "[1]", '{"number": 1e999}', "[" * 3000, "9" * 6000]) | clean
    call = st.builds(
        calls.ToolCall,
        tool=names | st.none(),
        source=st.none() | st.builds(calls.SourceCall, source=code, function=names),
        expression=st.none() | st.builds(calls.ExpressionCall, env=code, expression=code),
        arguments_json=arguments,
        timeout_s=floats,
    )
    paths = PATHS.filter(lambda text: "\ud800" not in text)
    files = st.dictionaries(paths, st.binary(max_size=5), max_size=3)
    integers = st.sampled_from([0, 1, 64, -1, 2**31 - 1])
    unknown = st.just("0" * 32) | clean
    built: dict[type[Message], st.SearchStrategy[Message]] = {
        calls.ExecuteRequest: st.builds(calls.ExecuteRequest, call=call | st.none()),
        calls.ExecuteBatchRequest: st.builds(calls.ExecuteBatchRequest, calls=st.lists(call, max_size=3)),
        programs.RunCodeRequest: st.builds(
            programs.RunCodeRequest, code=code, stdin=clean, files=files,
            fetch_files=st.lists(paths, max_size=3), timeout_s=floats, memory_mb=integers,
        ),
        sessions.CreateSessionRequest: st.builds(
            sessions.CreateSessionRequest, memory_mb=integers, idle_timeout_s=floats, files=files
        ),
        sessions.ExecuteCellRequest: st.builds(
            sessions.ExecuteCellRequest, session_id=unknown, code=code, timeout_s=floats
        ),
        sessions.PutFilesRequest: st.builds(sessions.PutFilesRequest, session_id=unknown, files=files),
    }  # fmt: skip
    return built[kind].map(lambda message: message.SerializeToString())


RPCS: dict[str, type[Message]] = {
    "/mentor.rpc.v1.SandboxService/Execute": calls.ExecuteRequest,
    "/mentor.rpc.v1.SandboxService/ExecuteBatch": calls.ExecuteBatchRequest,
    "/mentor.rpc.v1.ProgramService/RunCode": programs.RunCodeRequest,
    "/mentor.rpc.v1.SessionService/CreateSession": sessions.CreateSessionRequest,
    "/mentor.rpc.v1.SessionService/ExecuteCell": sessions.ExecuteCellRequest,
    "/mentor.rpc.v1.SessionService/PutFiles": sessions.PutFilesRequest,
}
