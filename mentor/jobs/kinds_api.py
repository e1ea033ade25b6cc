"""REST of kinds: what a service runs, and the JSON schema of each kind's spec, from which forms are made."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel

from mentor.errors import NotFoundError
from mentor.jobs.manager import JobManager


class KindPage(BaseModel):
    """The kinds of a service, its first one first."""

    kinds: list[str]


def kinds_router(manager: JobManager) -> APIRouter:
    """Routes over a manager."""
    router = APIRouter(prefix="/v1/kinds", tags=["jobs"])

    @router.get("")
    async def kinds() -> KindPage:
        """The kinds of jobs that this service runs."""
        return KindPage(kinds=list(manager.handlers))

    @router.get("/{kind}/schema")
    async def schema(kind: str) -> dict[str, Any]:
        """The JSON schema of a kind's spec, as its worker reads it; 404 if it is another service's."""
        handler = manager.handlers.get(kind)
        if handler is None:
            raise NotFoundError(f"unknown kind {kind!r}", field="kind", allowed=", ".join(manager.handlers))
        return handler.Spec.model_json_schema()

    return router
