"""gRPC twin of ``rest``."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

from mentor.jobs.api import watch
from mentor.jobs.servicer import DEFAULT_LIMIT, read_spec, state_name, to_event, to_message
from mentor.rpc.v1 import evaluations_pb2 as pb
from mentor.rpc.v1.evaluations_pb2_grpc import EvaluationsServiceServicer
from mentor_evaluator.api.evaluations import Evaluations


class EvaluationsServicer(EvaluationsServiceServicer):
    """Evaluations over gRPC; errors are mapped by the server's interceptor."""

    def __init__(self, api: Evaluations) -> None:
        self._api = api

    async def CreateEvaluation(self, request: pb.CreateEvaluationRequest, context: Any) -> pb.CreateEvaluationResponse:
        spec = read_spec(request.spec_json)
        job, created = await asyncio.to_thread(self._api.create, spec, request.idempotency_key or None)
        return pb.CreateEvaluationResponse(job=to_message(job), created=created)

    async def GetEvaluation(self, request: pb.GetEvaluationRequest, context: Any) -> pb.GetEvaluationResponse:
        return pb.GetEvaluationResponse(job=to_message(await asyncio.to_thread(self._api.get, request.id)))

    async def ListEvaluations(self, request: pb.ListEvaluationsRequest, context: Any) -> pb.ListEvaluationsResponse:
        jobs = await asyncio.to_thread(self._api.newest, state_name(request.state), request.limit or DEFAULT_LIMIT)
        return pb.ListEvaluationsResponse(jobs=[to_message(job) for job in jobs])

    async def WatchEvaluation(
        self, request: pb.WatchEvaluationRequest, context: Any
    ) -> AsyncIterator[pb.WatchEvaluationResponse]:
        await asyncio.to_thread(self._api.get, request.id)
        async for event in watch(self._api.manager, request.id, request.after):
            yield pb.WatchEvaluationResponse(event=to_event(event))

    async def GetResults(self, request: pb.GetResultsRequest, context: Any) -> pb.GetResultsResponse:
        return pb.GetResultsResponse(results_json=json.dumps(await asyncio.to_thread(self._api.results, request.id)))

    async def ListSamples(self, request: pb.ListSamplesRequest, context: Any) -> pb.ListSamplesResponse:
        page, size = request.page or 1, request.page_size or DEFAULT_LIMIT
        found = await asyncio.to_thread(self._api.samples, request.id, request.filter, page, size)
        return pb.ListSamplesResponse(samples_json=[s.model_dump_json() for s in found.samples], total=found.total)

    async def CompareRuns(self, request: pb.CompareRunsRequest, context: Any) -> pb.CompareRunsResponse:
        found = await asyncio.to_thread(self._api.compare, request.a, request.b, list(request.even_if))
        return pb.CompareRunsResponse(comparison_json=found.model_dump_json())

    async def GetLeaderboard(self, request: pb.GetLeaderboardRequest, context: Any) -> pb.GetLeaderboardResponse:
        found = await asyncio.to_thread(self._api.leaderboard, list(request.runs), request.arm or None)
        return pb.GetLeaderboardResponse(leaderboard_json=found.model_dump_json())

    async def ListSuites(self, request: pb.ListSuitesRequest, context: Any) -> pb.ListSuitesResponse:
        rows = await asyncio.to_thread(self._api.suites)
        return pb.ListSuitesResponse(suites_json=[json.dumps(row) for row in rows])
