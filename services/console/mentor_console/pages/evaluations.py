"""Evaluations: leaderboard, one run's matrix and figures, two sides compared. Every number is the evaluator's own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from mentor.errors import ConflictError, MentorError, UserError
from mentor_console.context import Console
from mentor_console.front.page_errors import telling
from mentor_console.jobs.directory import find, listed

_NEWEST = 100


def router(console: Console) -> APIRouter:
    """The pages' routes."""
    routes = APIRouter(route_class=telling(console.renderer))

    @routes.get("/evaluations", response_class=HTMLResponse)
    async def evaluations(request: Request, arm: str = "") -> HTMLResponse:
        """The leaderboard, and every evaluation."""
        asked = list(dict.fromkeys(request.query_params.getlist("run")))
        found = await listed(console, request, _NEWEST)
        runs = [row.job for row in found.jobs if row.job.kind in ("evaluation", "evaluate")]
        board, problem = None, ""
        parameters = {k: v for k, v in (("runs", ",".join(asked)), ("arm", arm)) if v}
        try:
            board = await console.json(request, "evaluator", "/v1/leaderboard", params=parameters)
        except MentorError as error:
            problem = error.message
        return console.renderer.respond(
            request, "evaluations.html.j2", title="Evaluations", runs=runs, board=board, problem=problem, asked=asked,
            arm=arm, away=found.away,
        )  # fmt: skip

    @routes.get("/evaluations/compare", response_class=HTMLResponse)
    async def compare(request: Request, a: str = "", b: str = "", even_if: str = "") -> HTMLResponse:
        """Two runs, or two models of runs (``ID:MODEL``), paired by question."""
        found = await listed(console, request, _NEWEST, kind="evaluation", state="succeeded")
        sides = [side for row in found.jobs for side in sides_of(row.job.id, row.job.spec)]
        comparison, problem = None, None
        if a and b:
            try:
                parameters = {"runs": f"{a},{b}", "even_if": even_if}
                comparison = await console.json(request, "evaluator", "/v1/compare", params=parameters)
            except UserError as error:
                problem = error
        return console.renderer.respond(
            request, "compare.html.j2", title="Compare", a=a, b=b, even_if=even_if, sides=sides, comparison=comparison,
            problem=problem,
        )  # fmt: skip

    @routes.get("/evaluations/{job_id}", response_class=HTMLResponse)
    async def one(request: Request, job_id: str) -> HTMLResponse:
        """One run: the matrix of models and suites, and every cell's figures."""
        found = await find(console, request, job_id)
        job = found.job
        if job.kind not in ("evaluation", "evaluate"):
            raise UserError(f"{job_id} is a {job.kind} job", field="id", allowed="an evaluation")
        if job.state != "succeeded":
            raise ConflictError(
                f"{job_id} is {job.state}: it has no results", field="id", allowed=f"see /jobs/{job_id}"
            )
        if job.kind == "evaluate":
            report = as_run(job.spec, job.result or {})
        else:
            report = await console.json(request, "evaluator", f"/v1/evaluations/{job_id}/results")
        return console.renderer.respond(
            request, "evaluation.html.j2", title=f"Evaluation {job_id}", job=job, report=report, usage=usage(report)
        )

    return routes


def sides_of(job_id: str, spec: Mapping[str, Any]) -> list[str]:
    """What of a run can be compared: itself where it has one model, else each of its models."""
    names = [model.get("name", "") for model in spec.get("models") or ()]
    return [job_id] if len(names) < 2 else [f"{job_id}:{name}" for name in names]


def as_run(spec: Mapping[str, Any], cell: Mapping[str, Any]) -> dict[str, Any]:
    """The report of an ``evaluate`` job, which is one cell, in the shape of a run of one model on one suite."""
    model, suite = str(cell.get("model", "model")), str(spec.get("suite") or "questions")
    return {
        "models": [model], "suites": [suite], "arms": ["tools"], "cells": {f"{model}/{suite}/tools": cell}, "macro": [],
        "tool_effects": [], "warnings": cell.get("warnings", []), "not_run": {},
    }  # fmt: skip


def usage(report: Mapping[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Calls of each tool, by cell, beside the teacher's where they are known."""
    found: dict[str, list[dict[str, Any]]] = {}
    for key, cell in report["cells"].items():
        teacher, differences = cell.get("reference_tool_counts") or {}, cell.get("tool_differences") or {}
        own = cell.get("tool_counts") or {}
        names = sorted(set(own) | set(teacher), key=lambda name: -own.get(name, 0))
        rows = [
            {"tool": name, "calls": own.get(name, 0), "teacher": teacher.get(name) if teacher else None,
             "paired": differences.get(name)}
            for name in names
        ]  # fmt: skip
        if rows:
            found[key] = rows
    return found
