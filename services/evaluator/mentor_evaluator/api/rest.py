"""REST of evaluations."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Body, Header, Query, Request, Response
from pydantic import BaseModel
from sse_starlette import EventSourceResponse

from mentor.errors import UserError
from mentor.jobs.api import event_stream
from mentor.jobs.model import Job
from mentor_evaluator.api.evaluations import Evaluations
from mentor_evaluator.api.samples import SamplePage
from mentor_evaluator.comparing.models import Comparison, Leaderboard
from mentor_evaluator.matrix.spec import EvaluationSpec

EXAMPLES: dict[str, Any] = {
    "two models, tools on and off": {
        "value": {
            "models": [
                {"name": "student", "model": {"path": "artifact:train-1/model"}},
                {"name": "teacher", "model": {"url": "http://model:8000/v1", "name": "teacher"}},
            ],
            "suites": ["paper-math", "gsm8k"],
            "tools": "both",
            "samples": 4,
        }
    },
    "a user's own questions": {
        "value": {
            "models": [{"name": "student", "model": {"path": "artifact:train-1/model"}}],
            "own": [{"name": "invoices", "file": "file:DIGEST/invoices.jsonl", "question": "text", "answers": "total"}],
        }
    },
}


class EvaluationPage(BaseModel):
    """Evaluations, newest first, each as the job that does it."""

    evaluations: list[Job]


class SuiteRow(BaseModel):
    """``questions``: how many are here; None where the data are not, and ``missing`` says what to place where."""

    suite: str
    groups: list[str]
    scorer: str
    questions: int | None
    missing: str | None
    summary: str


class SuitePage(BaseModel):
    """Every suite that this service knows."""

    suites: list[SuiteRow]


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def evaluations_router(api: Evaluations) -> APIRouter:
    """The routes. The body of a new evaluation is its spec."""
    router = APIRouter(prefix="/v1", tags=["evaluations"])

    @router.post("/evaluations", status_code=201)
    async def create(
        spec: Annotated[EvaluationSpec, Body(openapi_examples=EXAMPLES)],
        response: Response,
        idempotency_key: Annotated[str | None, Header()] = None,
    ) -> Job:
        """Evaluate models on suites: 201, or 200 where the idempotency key names one that exists."""
        values = spec.model_dump(mode="json", exclude_unset=True)
        job, created = await asyncio.to_thread(api.create, values, idempotency_key)
        response.status_code = 201 if created else 200
        response.headers["Location"] = f"/v1/evaluations/{job.id}"
        return job

    @router.get("/evaluations")
    async def list_evaluations(state: str | None = None, limit: int = 50) -> EvaluationPage:
        """Evaluations, newest first."""
        return EvaluationPage(evaluations=await asyncio.to_thread(api.newest, state, limit))

    @router.get("/evaluations/{job_id}")
    async def get_evaluation(job_id: str) -> Job:
        """One evaluation: state, progress, accuracies so far, and in the end its results."""
        return await asyncio.to_thread(api.get, job_id)

    @router.get("/evaluations/{job_id}/events")
    async def events(
        job_id: str, request: Request, after: int = 0, last_event_id: Annotated[str | None, Header()] = None
    ) -> EventSourceResponse:
        """Events as server-sent events, from ``after`` (or Last-Event-ID) on."""
        await asyncio.to_thread(api.get, job_id)
        start = int(last_event_id) if last_event_id and last_event_id.isdecimal() else after
        return EventSourceResponse(event_stream(api.manager, job_id, start, request))

    @router.get("/evaluations/{job_id}/results")
    async def results(job_id: str) -> dict[str, Any]:
        """The matrix of results; 409 until the evaluation has succeeded."""
        return await asyncio.to_thread(api.results, job_id)

    @router.get("/evaluations/{job_id}/samples")
    async def samples(
        job_id: str,
        filter_: Annotated[str, Query(alias="filter", description="such as suite:gsm8k,correct:false")] = "",
        page: int = 1,
        page_size: int = 50,
    ) -> SamplePage:
        """Scored trajectories, page by page. Conditions: cell, model, suite, arm, question, correct, termination, tool,
        error, reason, text."""
        return await asyncio.to_thread(api.samples, job_id, filter_, page, page_size)

    @router.get("/compare")
    async def compare(runs: str, even_if: str = "") -> Comparison:
        """Two sides, ``runs=A,B``, each an evaluation's id or ``ID:MODEL``: paired by question, corrected over suites.

        Runs whose manifests differ in what matters are refused, each difference named, unless ``even_if`` lists it."""
        sides = _listed(runs)
        if len(sides) != 2:
            raise UserError(
                f"runs names {len(sides)} sides", field="runs", allowed="two, such as ID,ID or ID:MODEL,ID:MODEL"
            )
        return await asyncio.to_thread(api.compare, sides[0], sides[1], _listed(even_if))

    @router.get("/leaderboard")
    async def leaderboard(runs: str = "", arm: str | None = None) -> Leaderboard:
        """Models of several evaluations, best first; without ``runs``, of the newest that have succeeded."""
        return await asyncio.to_thread(api.leaderboard, _listed(runs), arm)

    @router.get("/suites")
    async def list_suites() -> SuitePage:
        """Benchmark suites, and whether their data are here."""
        rows = await asyncio.to_thread(api.suites)
        return SuitePage(suites=[SuiteRow.model_validate(row) for row in rows])

    return router
