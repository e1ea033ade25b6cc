"""Every RPC of jobs and its REST twin say the same, errors included."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
import pytest_asyncio

from mentor.jobs.embedded_redis import redis_url, start_redis
from mentor.jobs.model import JobState
from mentor.jobs.service import build_job_service, build_manager
from mentor.jobs.settings import JobSettings
from mentor.rpc.v1 import jobs_pb2 as pb
from mentor.rpc.v1.jobs_pb2_grpc import JobsServiceStub
from mentor.serving import ServiceSettings, running
from tests.contract.twin import Case, Failure, Plain, Twin
from tests.support.toy_job import ToyJob

REST_ONLY = frozenset(
    {
        "fence",
        "lapses",
        "owner",
        "metrics",
        "cancel_requested",
        "request_id",
        "traceparent",
        "schema_version",
        "privileged",
    }
)
VOLATILE = frozenset({"id", "created_at", "started_at", "finished_at", "time"})
IDS = {"done": "toy-done", "queued": "toy-queued", "failed": "toy-failed", "failed too": "toy-failed-too"}


def plain_job(job: Any) -> Plain:
    return {
        "kind": job.kind,
        "state": pb.JobState.Name(job.state).removeprefix("JOB_STATE_").lower(),
        "attempt": job.attempt,
        "progress": job.progress,
        "message": job.message,
        "error": job.error or None,
        "result": json.loads(job.result_json) if job.result_json else None,
        "spec": json.loads(job.spec_json),
        "idempotency_key": job.idempotency_key or None,
        "submitter": job.submitter,
    }


def plain_message(message: Any) -> Plain:
    if isinstance(message, pb.WatchJobResponse):
        return {"sequence": message.event.sequence, **json.loads(message.event.data_json)}
    if isinstance(message, pb.ListJobsResponse):
        return {"jobs": [plain_job(job) for job in message.jobs]}
    return plain_job(message.job)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def twin(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Twin]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CUDA_VISIBLE_DEVICES", "")
        async with _twin(tmp_path_factory) as made:
            yield made


@asynccontextmanager
async def _twin(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Twin]:
    folder = tmp_path_factory.mktemp("twin")
    redis = start_redis(folder / "redis")
    jobs = JobSettings(redis_url=redis_url(folder / "redis"), store=str(folder / "store"), republish_s=3600)
    manager = build_manager([ToyJob()], jobs)
    manager.capacity.say("a worker without GPUs", ["toy"])
    IDS["done"] = manager.submit("toy", {"steps": 1}, "done")[0].id
    claim = manager.store.claim(IDS["done"], "test")
    assert claim is not None
    manager.store.record(IDS["done"], claim.fence, "progress", {"fraction": 0.5, "message": "half"}, progress=0.5)
    manager.store.finish(IDS["done"], claim.fence, JobState.SUCCEEDED, result={"count": 1})
    for name in ("failed", "failed too"):
        IDS[name] = manager.submit("toy", {"steps": 4})[0].id
        claim = manager.store.claim(IDS[name], "test")
        assert claim is not None
        manager.store.finish(IDS[name], claim.fence, JobState.FAILED, error="the sandbox is gone")
    IDS["queued"] = manager.submit("toy", {"steps": 2}, "queued")[0].id
    service = build_job_service("toy", ServiceSettings(access_log=False), [ToyJob()], job_settings=jobs)
    async with running(service) as server, grpc.aio.insecure_channel(str(server.grpc_target)) as channel:
        stub: Any = JobsServiceStub(channel)
        yield Twin(server.http_url, stub, plain_message, volatile=VOLATILE | REST_ONLY)
    redis.terminate()
    redis.wait()


def submit(name: str, expected: Any, spec: Any, kind: str = "toy", key: str = "") -> Case:
    request = pb.SubmitJobRequest(kind=kind, spec_json=json.dumps(spec), idempotency_key=key)
    body = {"kind": kind, "spec": spec, **({"idempotency_key": key} if key else {})}
    return Case(name, "SubmitJob", request, "/v1/jobs", body, expected=expected)


def on_job(name: str, rpc: str, which: str, expected: Any, twin: str = "") -> Case:
    """``twin``: another job in the same state, where the call changes it."""
    job_id = IDS.get(which, which)
    messages = {"GetJob": pb.GetJobRequest, "CancelJob": pb.CancelJobRequest, "ResumeJob": pb.ResumeJobRequest}
    action = {"GetJob": "", "CancelJob": "/cancel", "ResumeJob": "/resume"}[rpc]
    path = f"/v1/jobs/{IDS.get(twin, twin) if twin else job_id}{action}"
    return Case(name, rpc, messages[rpc](id=job_id), path, method="POST" if action else "GET", expected=expected)


def listed(name: str, expected: Any, query: str = "", **fields: Any) -> Case:
    return Case(name, "ListJobs", pb.ListJobsRequest(**fields), f"/v1/jobs{query}", method="GET", expected=expected)


def watched(name: str, which: str, expected: Any, after: int = 0) -> Case:
    job_id = IDS.get(which, which)
    request = pb.WatchJobRequest(id=job_id, after=after)
    path = f"/v1/jobs/{job_id}/events?after={after}"
    return Case(name, "WatchJob", request, path, method="GET", expected=expected, stream=True)


def only_finished(plain: Plain) -> None:
    assert [job["state"] for job in plain["jobs"]] == ["succeeded"]


def whole_history(plain: Plain) -> None:
    assert [event.get("state", event.get("message")) for event in plain["events"]] == [
        "queued",
        "running",
        "half",
        "succeeded",
    ]


def cases() -> list[Case]:
    """Made in the test: they hold ids of jobs that the fixture has made."""
    return [
        submit("a known key gives the job that exists", {"state": "succeeded"}, {"steps": 1}, key="done"),
        submit("another spec under a known key", Failure("conflict", "done"), {"steps": 5}, key="done"),
        submit("a new job is queued", {"state": "queued", "attempt": 0}, {"steps": 3}, key="twice"),
        submit("a bad value", Failure("invalid_argument", "steps"), {"steps": 0}),
        submit("an unknown field", Failure("invalid_argument", "stepz"), {"stepz": 1}),
        submit("what the handler refuses", Failure("invalid_argument", "refuse"), {"refuse": True}),
        submit("more GPUs than any worker has", Failure("invalid_argument", "gpus"), {"gpus": 1}),
        submit("an unknown kind", Failure("invalid_argument", "kind"), {}, kind="teach"),
        submit("an unknown artefact", Failure("invalid_argument", "artefact"), {"trail": "artifact:toy-x/model"}),
        on_job("a finished job", "GetJob", "done", {"state": "succeeded", "result": {"count": 1}, "attempt": 1}),
        on_job("an unknown job", "GetJob", "toy-unknown", Failure("not_found", "toy-unknown")),
        on_job("cancelling a finished job", "CancelJob", "done", Failure("conflict", "succeeded")),
        on_job("cancelling an unknown job", "CancelJob", "toy-unknown", Failure("not_found")),
        on_job("resuming a succeeded job", "ResumeJob", "done", Failure("conflict", "succeeded")),
        on_job("resuming a queued job", "ResumeJob", "queued", Failure("conflict", "queued")),
        on_job("resuming an unknown job", "ResumeJob", "toy-unknown", Failure("not_found")),
        on_job(
            "resuming a failed job",
            "ResumeJob",
            "failed",
            {"state": "queued", "error": None, "attempt": 1},
            twin="failed too",
        ),
        listed("finished jobs", only_finished, "?state=succeeded", state=pb.JOB_STATE_SUCCEEDED),
        listed("an unknown kind in a filter", Failure("invalid_argument", "kind"), "?kind=teach", kind="teach"),
        listed("too many", Failure("invalid_argument", "limit"), "?limit=100000", limit=100000),
        watched("the history of a finished job", "done", whole_history),
        watched("events of an unknown job", "toy-unknown", Failure("not_found")),
        on_job("cancelling a queued job, twice", "CancelJob", "queued", {"state": "cancelled"}),
    ]


@pytest.mark.asyncio(loop_scope="module")
async def test_every_rpc_and_its_rest_twin_say_the_same(twin: Twin) -> None:
    for case in cases():
        await twin.check(case)
