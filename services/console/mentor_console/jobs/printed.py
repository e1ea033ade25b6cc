"""What the process of a training run printed: the end of it that its job has committed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from fastapi import Request

from mentor.errors import InfrastructureError, NotFoundError
from mentor_console.context import Console
from mentor_console.front.gate import session_of
from mentor_console.jobs.directory import Found, find, resource

ARTIFACT = "train.log"
MOST_BYTES = 256 << 10


async def printed(console: Console, request: Request, found: Found, lines: int) -> str:
    """Its last lines; "" where nothing has been committed yet. Models and tools wrote into it: it is shown as text only.

    Raises:
        MentorError: as the service says.
    """
    authorization, path = session_of(request.scope).authorization, resource(found, "artifacts", ARTIFACT)
    try:
        last = {"range": f"bytes=-{MOST_BYTES}"}
        answer = await console.upstream.call(authorization, found.service, "GET", path, last)
    except NotFoundError:
        return ""
    return "\n".join(answer.content.decode("utf-8", "replace").split("\n")[-lines:])


async def printed_of(console: Console, request: Request, jobs: Sequence[str], lines: int) -> dict[str, str]:
    """The same of several, as far as they are there: a run that is not, or whose service is away, has none."""

    async def of(job: str) -> str:
        try:
            return await printed(console, request, await find(console, request, job), lines)
        except (NotFoundError, InfrastructureError):
            return ""

    return dict(zip(jobs, await asyncio.gather(*map(of, jobs)), strict=True))
