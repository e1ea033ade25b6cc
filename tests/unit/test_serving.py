"""What every service shares, on a toy service: errors, limits, identity, auth, readiness, drain, settings."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from mentor.errors import (
    DeadlineError,
    InfrastructureError,
    OverloadedError,
    UnauthenticatedError,
    UserError,
)
from mentor.rpc.context import REQUEST_ID_HEADER, outgoing
from mentor.rpc.errors import from_grpc, from_http
from mentor.rpc.retry import RetryPolicy, with_retries
from mentor.serving import Server, load_settings
from mentor.serving.admission import Admission
from tests.support.toy_service import ERRORS, ToySettings, execute, serving, toy


async def test_a_typed_error_is_the_same_on_both_transports_and_comes_back_typed() -> None:
    async with serving(toy()) as (client, channel, _):
        for name, error in ERRORS.items():
            response = await client.get(f"/fail/{name}")
            assert response.status_code == error.http_status
            assert response.json() == error.to_body()
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await execute(channel, name)
            assert caught.value.code().name == error.grpc_status
            for back in (from_http(response), from_grpc(caught.value)):
                assert type(back) is type(error)
                assert back.to_body() == error.to_body()
        assert (await client.get("/fail/full")).headers["retry-after"] == "7"


async def test_a_bug_is_a_plain_500_that_names_the_request_and_no_detail() -> None:
    async with serving(toy()) as (client, channel, _):
        response = await client.get("/fail/bug", headers={REQUEST_ID_HEADER: "abc-1"})
        assert response.status_code == 500
        assert "abc-1" in response.json()["detail"]
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await execute(channel, "bug", metadata=((REQUEST_ID_HEADER, "abc-2"),))
        assert caught.value.code() is grpc.StatusCode.INTERNAL
        assert "abc-2" in str(caught.value.details())
        assert "secret" not in response.text + str(caught.value.details())


async def test_validation_unknown_routes_and_wrong_methods_have_the_common_body() -> None:
    async with serving(toy()) as (client, _, _):
        wrong = await client.post("/number", json={"number": "x"})
        assert (wrong.status_code, wrong.json()["error"]["code"]) == (422, "invalid_argument")
        assert wrong.json()["error"]["field"] == "number"
        broken = await client.post("/number", content=b"{", headers={"content-type": "application/json"})
        assert 400 <= broken.status_code < 500
        unknown = await client.get("/nowhere")
        assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, "not_found")
        method = await client.get("/number")
        assert (method.status_code, method.json()["error"]["code"]) == (405, "method_not_allowed")


async def test_a_request_id_is_kept_if_sane_made_if_not_and_always_returned() -> None:
    async with serving(toy()) as (client, channel, _):
        kept = await client.get("/echo", headers={REQUEST_ID_HEADER: "run-7/q_1"})
        assert kept.headers[REQUEST_ID_HEADER] == kept.json()["id"] == "run-7/q_1"
        made = await client.get("/echo", headers={REQUEST_ID_HEADER: "bad id\twith spaces"})
        assert made.headers[REQUEST_ID_HEADER] == made.json()["id"] != "bad id\twith spaces"
        call = execute(channel, "echo", metadata=((REQUEST_ID_HEADER, "run-8"),))
        answer = await call
        assert json.loads(answer.result.value_json)["id"] == "run-8"
        assert dict(await call.initial_metadata())[REQUEST_ID_HEADER] == "run-8"


async def test_the_callers_deadline_travels_on_both_transports() -> None:
    async with serving(toy()) as (client, channel, _):
        over_http = await client.get("/echo", headers=outgoing(timeout_s=30.0))
        over_grpc = await execute(channel, "echo")
        assert 0 < over_http.json()["left"] <= 30
        # gRPC rounds a deadline up on its way: the callee may see a moment more than the 20 s that were given.
        assert 0 < json.loads(over_grpc.result.value_json)["left"] < 21
        assert (await client.get("/echo")).json()["left"] == 1000


async def test_a_set_key_is_required_everywhere_but_on_the_operations_routes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MENTOR_API_KEY", "s3cret")
    async with serving(toy(ToySettings())) as (client, channel, _):
        for path in ("/health", "/ready", "/metrics"):
            assert (await client.get(path)).status_code == 200
        assert (await client.get("/echo")).status_code == 401
        assert (await client.get("/echo", headers={"authorization": "Bearer wrong"})).status_code == 401
        assert (await client.get("/echo", headers=outgoing())).status_code == 200
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await execute(channel, "echo")
        assert isinstance(from_grpc(caught.value), UnauthenticatedError)
        await execute(channel, "echo", metadata=tuple(outgoing().items()))


async def test_a_body_beyond_the_limit_is_refused_announced_or_not() -> None:
    async with serving(toy(ToySettings(max_request_bytes=2048))) as (client, channel, _):
        announced = await client.post("/number", content=b"x" * 4096)
        assert announced.status_code == 413

        async def stream() -> AsyncIterator[bytes]:
            for _ in range(8):
                yield b" " * 1024

        headers = {"content-type": "application/json"}
        assert (await client.post("/number", content=stream(), headers=headers)).status_code == 413
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await execute(channel, "x" * 4096)
        assert isinstance(from_grpc(caught.value), UserError)


async def test_readiness_tells_the_reasons_and_grpc_health_follows() -> None:
    reasons = ["out of order"]
    async with serving(toy(ready=reasons)) as (client, channel, _):
        ready = await client.get("/ready")
        assert (ready.status_code, ready.json()) == (503, {"ready": False, "reasons": {"toy": "out of order"}})
        assert (await client.get("/health")).status_code == 200
        stub: Any = health_pb2_grpc.HealthStub(channel)
        request = health_pb2.HealthCheckRequest(service="mentor.rpc.v1.SandboxService")
        assert (await stub.Check(request)).status == health_pb2.HealthCheckResponse.NOT_SERVING
        reasons.clear()
        assert (await client.get("/ready")).status_code == 200
        async for update in stub.Watch(request, timeout=20):
            if update.status == health_pb2.HealthCheckResponse.SERVING:
                break


async def test_a_drain_says_not_ready_first_and_finishes_what_is_in_flight() -> None:
    server = Server(toy(ToySettings(drain_delay_s=0.2)))
    await server.start()
    async with httpx.AsyncClient(base_url=server.http_url, trust_env=False) as client:
        slow = asyncio.create_task(client.get("/slow"))
        await asyncio.sleep(0.1)
        stopping = asyncio.create_task(server.stop())
        await asyncio.sleep(0.05)
        ready = await client.get("/ready")
        assert (ready.status_code, list(ready.json()["reasons"])) == (503, ["draining"])
        assert (await slow).json() == "done"
        await stopping
        with pytest.raises(httpx.TransportError):
            await client.get("/health")


async def test_requests_are_counted_by_route_and_method() -> None:
    async with serving(toy()) as (client, channel, _):
        await client.get("/fail/missing")
        await client.get("/nowhere/at/all")
        await execute(channel, "echo")
        text = (await client.get("/metrics")).text
        assert 'mentor_http_requests_total{method="GET",route="/fail/{name}",status="404"} 1.0' in text
        assert 'mentor_http_requests_total{method="GET",route="unmatched",status="404"} 1.0' in text
        assert 'mentor_grpc_requests_total{code="OK",method="/mentor.rpc.v1.SandboxService/Execute"} 1.0' in text
        assert 'mentor_http_request_duration_seconds_count{method="GET",route="/fail/{name}"} 1.0' in text


async def test_a_failing_start_closes_the_ports_and_raises() -> None:
    @asynccontextmanager
    async def broken() -> AsyncIterator[None]:
        raise UserError("no corpus", field="corpus_path")
        yield

    server = Server(toy(lifespan=broken))
    with pytest.raises(UserError, match="no corpus"):
        await server.start()
    async with httpx.AsyncClient(trust_env=False) as client:
        with pytest.raises(httpx.TransportError):
            await client.get(server.http_url + "/health")


def test_flags_come_before_environment_before_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / "c.yaml"
    config.write_text("size: 1\nlog_level: debug\nhost: 127.0.0.9\nnames: [a, b]\n")
    monkeypatch.setenv("MENTOR_TOY_SIZE", "2")
    monkeypatch.setenv("MENTOR_TOY_HOST", "127.0.0.8")
    settings = load_settings(ToySettings, {"size": 3}, config)
    assert (settings.size, settings.host, settings.log_level, settings.names) == (3, "127.0.0.8", "debug", ("a", "b"))


@pytest.mark.parametrize(
    ("content", "named"),
    [("size: big", "size"), ("sizes: 1", "sizes"), ("- 1", "mapping"), ("a: [", "not YAML"), ("port: 70000", "port")],
)
def test_a_bad_file_is_one_line_that_names_the_field(tmp_path: Path, content: str, named: str) -> None:
    config = tmp_path / "c.yaml"
    config.write_text(content)
    with pytest.raises(UserError, match=named) as caught:
        load_settings(ToySettings, config=config)
    assert "\n" not in str(caught.value)


async def test_retries_are_for_infrastructure_only_and_end_with_the_policy() -> None:
    tries: list[float] = []

    async def lost(left: float) -> None:
        tries.append(left)
        raise InfrastructureError("lost")

    with pytest.raises(InfrastructureError, match="after 3 attempts"):
        await with_retries(lost, RetryPolicy(attempts=3, backoff_s=0.001))
    assert len(tries) == 3

    async def refused(left: float) -> None:
        tries.append(left)
        raise UserError("no")

    with pytest.raises(UserError):
        await with_retries(refused, RetryPolicy(attempts=3))
    assert len(tries) == 4


async def test_a_retry_waits_as_long_as_the_server_asks_or_gives_up_before_the_deadline() -> None:
    tries = 0

    async def full(left: float) -> None:
        nonlocal tries
        tries += 1
        raise OverloadedError("full", retry_after=3600)

    with pytest.raises(OverloadedError, match="after 1 attempts"):
        await with_retries(full, RetryPolicy(attempts=5, deadline_s=10))
    assert tries == 1


async def test_admission_bounds_what_runs_and_what_waits() -> None:
    admission = Admission(max_concurrency=2, max_queue=1, queue_timeout_s=30)
    release = asyncio.Event()

    async def hold() -> None:
        async with admission.slot():
            await release.wait()

    holders = [asyncio.create_task(hold()) for _ in range(3)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert (admission.running, admission.waiting) == (2, 1)
    with pytest.raises(OverloadedError):
        await hold()
    release.set()
    await asyncio.gather(*holders)
    assert (admission.running, admission.waiting) == (0, 0)


async def test_admission_gives_up_at_its_own_limit() -> None:
    admission = Admission(max_concurrency=1, max_queue=1, queue_timeout_s=0.01)
    async with admission.slot():
        with pytest.raises(DeadlineError):
            async with admission.slot():
                raise AssertionError("there was no slot")
    assert (admission.running, admission.waiting) == (0, 0)
