"""Programs and sessions say the same over gRPC and REST, errors included."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import grpc
import pytest
import pytest_asyncio
from google.protobuf.json_format import MessageToDict

from mentor.rpc.v1 import programs_pb2 as programs
from mentor.rpc.v1 import sessions_pb2 as sessions
from mentor.rpc.v1.programs_pb2_grpc import ProgramServiceStub
from mentor.rpc.v1.sessions_pb2_grpc import SessionServiceStub
from mentor.serving import running
from mentor_sandbox.app import build
from mentor_sandbox.settings import SandboxSettings
from tests.contract.twin import Case, Failure, Plain, Twin

VOLATILE = frozenset({"duration_ms", "peak_memory_bytes", "id", "idle_s", "cell", "cells", "traceback"})


def plain_message(message: Any) -> Plain:
    """Fields under their own names, absent ones as null, contents of files as base64."""
    plain: Plain = MessageToDict(message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)
    if isinstance(message, programs.RunCodeResponse):
        return {"exit_code": None} | plain | {"status": _status(plain)}
    if isinstance(message, sessions.ExecuteCellResponse):
        value_json = plain["result"].get("value_json")
        value = None if value_json is None else json.loads(value_json)
        result = {**plain["result"], "status": _status(plain["result"]), "value_json": value_json, "value": value}
        return {"result": result}
    return plain


def _status(plain: Plain) -> str:
    return str(plain["status"]).removeprefix("CALL_STATUS_").lower()


class Both:
    """One stub of two services, and a session of each transport's own where a case needs one."""

    def __init__(self, channel: Any) -> None:
        self._stubs = (ProgramServiceStub(channel), SessionServiceStub(channel))

    def __getattr__(self, name: str) -> Any:
        return next(getattr(stub, name) for stub in self._stubs if hasattr(stub, name))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def twin() -> AsyncIterator[Twin]:
    settings = SandboxSettings(port=0, grpc_port=0, access_log=False)
    async with running(build(settings)) as server, grpc.aio.insecure_channel(str(server.grpc_target)) as channel:
        yield Twin(server.http_url, Both(channel), plain_message, volatile=VOLATILE)


def b64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def encoded(fields: dict[str, Any]) -> dict[str, Any]:
    """The REST form of a request's fields."""
    if "files" not in fields:
        return fields
    return fields | {"files": {path: b64(content) for path, content in fields["files"].items()}}


def program(name: str, expected: Any, **fields: Any) -> Case:
    return Case(name, "RunCode", programs.RunCodeRequest(**fields), "/v1/run", encoded(fields), expected=expected)


PROGRAMS = [
    program("a program", {"status": "ok", "exit_code": 0, "stdout": "hi\n"}, code="print('hi')"),
    program("its input", {"stdout": "NI"}, code="import sys\nprint(sys.stdin.read()[::-1], end='')", stdin="IN"),
    program("its exit code", {"status": "tool_error", "exit_code": 3}, code="raise SystemExit(3)"),
    program("an exception", {"error_type": "KeyError", "exit_code": 1}, code="{}['x']"),
    program("a signal", {"status": "killed", "exit_code": -15, "error_type": "SIGTERM"},
            code="import signal\nsignal.raise_signal(15)"),
    program("a time-out", {"status": "timeout", "exit_code": None}, code="while True: pass", timeout_s=0.3),
    program("too little memory", {"status": "memory"}, code="x = bytearray(10**9)", memory_mb=64),
    program("too much output", {"status": "output_limit", "stdout_truncated": True},
            code="while True: print('x' * 10**6)"),
    program("files", {"files": {"o": b64(b"ab")}}, code="open('o', 'w').write(open('i').read() + 'b')",
            files={"i": b"a"}, fetch_files=["o", "none"]),
    program("a path that leaves", Failure("invalid_argument", "does not name a file"), code="", files={"../a": b""}),
    program("too long", Failure("invalid_argument", "time limit"), code="", timeout_s=1e6),
]  # fmt: skip
UNKNOWN = "0" * 32
SESSIONLESS = [
    Case("a session that is not there", "ExecuteCell", sessions.ExecuteCellRequest(session_id=UNKNOWN, code="1"),
         f"/v1/sessions/{UNKNOWN}/execute", {"code": "1"}, expected=Failure("not_found", "no session")),
    Case("closing what is not there", "CloseSession", sessions.CloseSessionRequest(session_id=UNKNOWN),
         f"/v1/sessions/{UNKNOWN}", method="DELETE", expected=Failure("not_found", "no session")),
    Case("a new session", "CreateSession", sessions.CreateSessionRequest(files={"a": b"x"}), "/v1/sessions",
         {"files": {"a": b64(b"x")}}, expected={"session": {"idle_timeout_s": 600.0, "busy": False}}),
    Case("an idle time beyond the service's", "CreateSession", sessions.CreateSessionRequest(idle_timeout_s=1e6),
         "/v1/sessions", {"idle_timeout_s": 1e6}, expected=Failure("invalid_argument", "idle time")),
    Case("how many are open", "ListSessions", sessions.ListSessionsRequest(), "/v1/sessions", method="GET",
         expected=lambda plain: None),
]  # fmt: skip


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("case", [*PROGRAMS, *SESSIONLESS], ids=lambda case: case.name)
async def test_rpc_and_rest_agree(twin: Twin, case: Case) -> None:
    await twin.check(case)


def cell(code: str, expected: Any, **fields: Any) -> Callable[[str], Case]:
    def case(name: str) -> Case:
        request = sessions.ExecuteCellRequest(session_id=name, code=code, **fields)
        body = {"code": code, **fields}
        wanted = expected if isinstance(expected, Failure) else lambda plain: _includes(plain["result"], expected)
        return Case(code, "ExecuteCell", request, f"/v1/sessions/{name}/execute", body, expected=wanted)

    return case


def _includes(plain: Plain, expected: Plain) -> None:
    assert {key: plain[key] for key in expected} == expected


def on_files(rpc: str, request: type[Any], path: str, expected: Plain, method: str = "POST", **fields: Any) -> Any:
    def case(name: str) -> Case:
        message = request(session_id=name, **fields)
        body = encoded(fields) if method == "POST" else None
        return Case(rpc, rpc, message, f"/v1/sessions/{name}/{path}", body, method=method, expected=expected)

    return case


IN_A_SESSION = [
    cell("x = 41", {"status": "ok", "value_json": None, "text": ""}),
    cell("x + 1", {"value_json": "42", "value": 42, "text": "42"}),
    cell("None", {"value_json": "null", "text": ""}),
    cell("print('p'); 1 / 0", {"status": "tool_error", "error_type": "ZeroDivisionError", "stdout": "p\n"}),
    cell("while True: pass", {"status": "timeout", "session_ended": False}, timeout_s=0.3),
    on_files("PutFiles", sessions.PutFilesRequest, "files", {"written": 2}, files={"d/f": b"12", "g": b"\xff"}),
    cell("open('d/f').read()", {"value": "12"}),
    on_files("GetFiles", sessions.GetFilesRequest, "files/get", {"files": {"g": b64(b"\xff")}}, paths=["g", "h"]),
    on_files("SnapshotSession", sessions.SnapshotSessionRequest, "snapshot",
             {"files": {"d/f": b64(b"12"), "g": b64(b"\xff")}}, method="GET"),
    on_files("RestoreSession", sessions.RestoreSessionRequest, "restore", {"written": 1}, files={"r": b"r"}),
    cell("import os; os.listdir('.'), x", {"value": [["r"], 41]}),
    cell("import os; os._exit(5)", {"status": "killed", "session_ended": True}),
]  # fmt: skip


@pytest.mark.asyncio(loop_scope="module")
async def test_a_session_is_the_same_seen_from_both_sides(twin: Twin) -> None:
    """Each transport uses a session of its own: the same steps must give the same answers."""
    over_grpc = (await twin.stub.CreateSession(sessions.CreateSessionRequest())).session.id
    over_rest = (await twin.stub.CreateSession(sessions.CreateSessionRequest())).session.id
    for step in IN_A_SESSION:
        mine, twins = step(over_grpc), step(over_rest)
        await twin.check(replace(mine, path=twins.path))


def test_every_rpc_has_a_case() -> None:
    methods = {
        method.name
        for module, service in ((programs, "ProgramService"), (sessions, "SessionService"))
        for method in module.DESCRIPTOR.services_by_name[service].methods
    }
    covered = {case.rpc for case in (*PROGRAMS, *SESSIONLESS)} | {step("x").rpc for step in IN_A_SESSION}
    assert methods == covered
