"""REST of uploads: ``/v1/files`` on every service that runs jobs."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel

from mentor.errors import NotFoundError
from mentor.jobs.artifacts import ArtifactStore
from mentor.jobs.unpack import ArchiveLimits
from mentor.jobs.uploads import Uploads

PREFIX = "/v1/files"


class UploadAnswer(BaseModel):
    """A stored file. ``reference`` is what a spec names it by."""

    reference: str
    name: str
    sha256: str
    bytes: int


def files_router(files: ArtifactStore, max_bytes: int) -> APIRouter:
    """Routes over a store. An archive may unpack to ``max_bytes``, as much as may be sent."""
    router = APIRouter(prefix=PREFIX, tags=["files"])
    uploads = Uploads(files, ArchiveLimits(max_bytes=max_bytes))

    @router.post("", status_code=201)
    async def upload(
        request: Request,
        name: Annotated[str, Query(description="file name, kept as it is")],
        folder: Annotated[bool, Query(description="the body is a tar archive of a folder")] = False,
    ) -> UploadAnswer:
        """Store the request's body (any bytes); the same content under the same name is stored once."""
        scratch = await asyncio.to_thread(uploads.scratch)
        try:
            received = await _receive(request, scratch / "body")
            stored = await asyncio.to_thread(uploads.add, received, name, folder=folder)
        finally:
            await asyncio.to_thread(shutil.rmtree, scratch, ignore_errors=True)
        return UploadAnswer(reference=stored.reference, **stored.model_dump())

    @router.head("/{digest}/{name}", status_code=204)
    async def known(digest: str, name: str) -> Response:
        """204 if the store has it, else 404: a client need not send it again."""
        if not await asyncio.to_thread(uploads.known, digest, name):
            raise NotFoundError(f"{name} is not in the store", field="name")
        return Response(status_code=204)

    return router


async def _receive(request: Request, target: Path) -> Path:
    with target.open("wb") as file:
        async for block in request.stream():
            await asyncio.to_thread(file.write, block)
    return target
