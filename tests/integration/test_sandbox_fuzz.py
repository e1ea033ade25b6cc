"""Whatever is sent, the sandbox answers with what it means: never a 500, never an end.

A short run with fixed seeds; ``make fuzz-sandbox`` runs the same for as long as it is told to
(MENTOR_FUZZ_EXAMPLES examples for each route, with seeds of its own).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import grpc
import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mentor_sandbox.supervise.from_inside import answer_of, unpack_result
from mentor_sandbox.supervise.from_inside import texts as _texts
from mentor_sandbox.wire.frames import FRAME, STATUSES, frame, pack_result
from tests.fuzz.requests import ROUTES, RPCS, bodies, messages
from tests.support.service_process import ServiceProcess, running_process

LONG = "MENTOR_FUZZ_EXAMPLES" in os.environ
EXAMPLES = int(os.environ.get("MENTOR_FUZZ_EXAMPLES", "20"))
FUZZ = settings(
    max_examples=EXAMPLES,
    derandomize=not LONG,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
JSON = {"content-type": "application/json", "accept": "application/json, text/event-stream"}
OURS = (grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[ServiceProcess]:
    flags = ("default_timeout_s=1", "max_timeout_s=2", "max_sessions=4", "session_idle_s=1", "memory_mb=128")
    with running_process("mentor_sandbox", *(part for flag in flags for part in ("--set", flag))) as service:
        yield service


@pytest.fixture(scope="module")
def client(sandbox: ServiceProcess) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=sandbox.http, timeout=60, trust_env=False) as client:
        yield client


@pytest.mark.timeout(0 if LONG else 120)
@pytest.mark.parametrize("path", ROUTES)
def test_no_body_makes_it_fail(sandbox: ServiceProcess, client: httpx.Client, path: str) -> None:
    @FUZZ
    @given(st.data())
    def attack(data: Any) -> None:
        place = path.replace("{id}", data.draw(st.sampled_from(["0" * 32, "x", "%00", "..%2f"])))
        body = data.draw(bodies(path))
        response = client.post(place, content=body, headers=JSON)
        assert response.status_code < 500, (body, response.text)
        if path == "/v1/sessions" and response.status_code == 200:
            client.delete(f"/v1/sessions/{response.json()['session']['id']}")

    attack()
    assert sandbox.process.poll() is None


@pytest.mark.timeout(0 if LONG else 120)
@pytest.mark.parametrize("method", RPCS)
def test_no_message_makes_it_fail(sandbox: ServiceProcess, method: str) -> None:
    with grpc.insecure_channel(sandbox.grpc) as channel:
        call = channel.unary_unary(method, request_serializer=None, response_deserializer=None)

        @FUZZ
        @given(messages(RPCS[method]))
        def attack(raw: bytes) -> None:
            try:
                call(raw, timeout=60)
            except grpc.RpcError as error:
                assert error.code() not in OURS, (raw, error)  # type: ignore[attr-defined]

        attack()
    assert sandbox.process.poll() is None


NONCE = 7
RESULTS = st.tuples(st.sampled_from(STATUSES), st.none() | st.text(), st.text(max_size=20), st.text(max_size=50))


@settings(max_examples=EXAMPLES * 20, derandomize=not LONG, deadline=None, database=None)
@given(st.binary(max_size=100) | RESULTS.map(lambda result: frame(pack_result(NONCE, result))), st.binary(max_size=3))
def test_no_bytes_on_the_result_channel_make_the_parser_fail(said: bytes, more: bytes) -> None:
    for data in (said, said + more, said[: len(said) // 2], more + said):
        answer = answer_of(data, NONCE)
        assert answer is None or (answer[1] is None) == (answer[0].value != "ok")
        unpack_result(data[FRAME.size :], NONCE)


@settings(max_examples=EXAMPLES * 20, derandomize=not LONG, deadline=None, database=None)
@given(st.text() | st.integers(1, 5000).map(lambda depth: "[" * depth))
def test_no_note_of_a_session_makes_the_parser_fail(note: str) -> None:
    assert all(isinstance(text, str) and text.isprintable() is not None for text in _texts(note).values())
