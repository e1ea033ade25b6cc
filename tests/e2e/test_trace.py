"""One trace from a command to the tool call that it causes, received over OTLP by a real (gRPC) collector."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as pb
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import (
    TraceServiceServicer,
    add_TraceServiceServicer_to_server,
)

from mentor.local import stack as local_stack
from tests.support.stack import TINY, backends, free_stack, teacher_model
from tests.support.waiting import eventually


class Collector(TraceServiceServicer):  # type: ignore[misc]
    """Keeps (service, span name, trace id) of what it is sent."""

    def __init__(self) -> None:
        self.spans: list[tuple[str, str, str]] = []

    def Export(self, request: pb.ExportTraceServiceRequest, context: Any) -> pb.ExportTraceServiceResponse:
        for resource in request.resource_spans:
            names = {a.key: a.value.string_value for a in resource.resource.attributes}
            for scope in resource.scope_spans:
                self.spans += [(names["service.name"], span.name, span.trace_id.hex()) for span in scope.spans]
        return pb.ExportTraceServiceResponse()


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    server, found = grpc.server(ThreadPoolExecutor(4)), Collector()
    add_TraceServiceServicer_to_server(found, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_INSECURE", "true")
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "200")
    yield found
    server.stop(None)


def test_one_trace_leads_from_a_command_to_a_tool_call(collector: Collector, tmp_path: Path) -> None:
    spec = free_stack(tmp_path / "home")
    local_stack.up(spec)
    try:
        job = tmp_path / "job.json"
        questions = str(TINY / "questions" / "in_domain.jsonl")
        body = {"model": teacher_model(spec), "questions": questions, "max_questions": 4, "backends": backends(spec),
                "sampling": {"temperature": 0.0, "max_tokens": 256, "seed": 0}}  # fmt: skip
        job.write_text(json.dumps(body))
        command = [sys.executable, "-m", "mentor.cli", "jobs", "submit", "evaluate", str(job), "--wait"]
        command += ["--url", spec.url("evaluator")]
        done = subprocess.run(command, capture_output=True, text=True, timeout=240)
        assert done.returncode == 0, done.stdout + done.stderr

        def together() -> set[str]:
            roots = {
                trace for service, name, trace in collector.spans if service == "mentor-cli" and name == "mentor jobs"
            }
            assert len(roots) <= 1, roots
            return {f"{service} {name}" for service, name, trace in collector.spans if trace in roots}

        wanted = {
            "mentor-cli mentor jobs",
            "mentor-evaluator POST /v1/jobs",
            "mentor-evaluator-worker attempt evaluate",
            "mentor-evaluate-job job evaluate",
            "mentor-sandbox /mentor.rpc.v1.SandboxService/",
        }

        def missing() -> set[str]:
            seen = together()
            return {name for name in wanted if not any(found.startswith(name) for found in seen)}

        eventually(lambda: not missing(), 30, what="every part of the trace")
        assert missing() == set()
    finally:
        local_stack.down(spec)
