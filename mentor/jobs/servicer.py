"""gRPC twin of the job API."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

from mentor.errors import UserError
from mentor.jobs.api import watch
from mentor.jobs.manager import JobManager
from mentor.jobs.model import Job, JobEvent, JobState
from mentor.rpc.v1 import jobs_pb2 as pb
from mentor.rpc.v1.jobs_pb2_grpc import JobsServiceServicer

_STATES = {state: getattr(pb, f"JOB_STATE_{state.upper()}") for state in JobState}
_NAMES = {number: state for state, number in _STATES.items()}
DEFAULT_LIMIT = 50


class JobsServicer(JobsServiceServicer):
    """Jobs over gRPC; errors are mapped by the server's interceptor."""

    def __init__(self, manager: JobManager) -> None:
        self._manager = manager

    async def SubmitJob(self, request: pb.SubmitJobRequest, context: Any) -> pb.SubmitJobResponse:
        spec = read_spec(request.spec_json)
        kind = request.kind or next(iter(self._manager.handlers))
        job, created = await asyncio.to_thread(self._manager.submit, kind, spec, request.idempotency_key or None)
        return pb.SubmitJobResponse(job=to_message(job), created=created)

    async def GetJob(self, request: pb.GetJobRequest, context: Any) -> pb.GetJobResponse:
        return pb.GetJobResponse(job=to_message(await asyncio.to_thread(self._manager.get, request.id)))

    async def ListJobs(self, request: pb.ListJobsRequest, context: Any) -> pb.ListJobsResponse:
        state = state_name(request.state)
        limit = request.limit or DEFAULT_LIMIT
        jobs = await asyncio.to_thread(self._manager.newest, request.kind or None, state, limit)
        return pb.ListJobsResponse(jobs=[to_message(job) for job in jobs])

    async def CancelJob(self, request: pb.CancelJobRequest, context: Any) -> pb.CancelJobResponse:
        return pb.CancelJobResponse(job=to_message(await asyncio.to_thread(self._manager.cancel, request.id)))

    async def ResumeJob(self, request: pb.ResumeJobRequest, context: Any) -> pb.ResumeJobResponse:
        return pb.ResumeJobResponse(job=to_message(await asyncio.to_thread(self._manager.resume, request.id)))

    async def WatchJob(self, request: pb.WatchJobRequest, context: Any) -> AsyncIterator[pb.WatchJobResponse]:
        await asyncio.to_thread(self._manager.get, request.id)
        async for event in watch(self._manager, request.id, request.after):
            yield pb.WatchJobResponse(event=to_event(event))


def to_message(job: Job) -> pb.Job:
    """A job as its protobuf message."""
    return pb.Job(
        id=job.id,
        kind=job.kind,
        state=_STATES[job.state],
        created_at=job.created_at,
        started_at=job.started_at,
        finished_at=job.finished_at,
        attempt=job.attempt,
        progress=job.progress,
        message=job.message,
        error=job.error or "",
        result_json="" if job.result is None else json.dumps(job.result),
        spec_json=json.dumps(job.spec),
        idempotency_key=job.idempotency_key or "",
        submitter=job.submitter,
    )


def state_name(number: int) -> JobState | None:
    """The state of a filter; None is any."""
    return _NAMES.get(number)


def to_event(event: JobEvent) -> pb.JobEvent:
    """An event as its protobuf message."""
    return pb.JobEvent(sequence=event.sequence, time=event.time, type=event.type, data_json=json.dumps(event.data))


def read_spec(text: str) -> dict[str, Any]:
    """A spec from a request.

    Raises:
        UserError: it is no JSON object.
    """
    try:
        spec = json.loads(text)
    except json.JSONDecodeError as error:
        raise UserError(f"spec_json is not JSON: {error.msg}", field="spec", allowed="a JSON object") from error
    if not isinstance(spec, dict):
        raise UserError("spec is not an object", field="spec", allowed="a JSON object")
    return spec
