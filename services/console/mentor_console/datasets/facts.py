"""What a data set says of itself: its summary, its manifest, and the waterfall that they make."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import Request

from mentor.data.fates import KEPT, LOST, SURPLUS
from mentor.errors import ConflictError, NotFoundError, UserError
from mentor_console.context import Console
from mentor_console.front.gate import session_of
from mentor_console.jobs.directory import Found, artifacts, find, resource

_HEAD_BYTES = 4 * 1024 * 1024
"""Of the folder's archive: the manifest is one of its first files."""
_BUILT_IN = ("wrong", "unanswered", "without_tools")


@dataclass(frozen=True)
class Bar:
    """One step of a waterfall. ``left``: trajectories after it."""

    name: str
    change: int
    left: int
    whole: bool = False


@dataclass(frozen=True)
class DataSet:
    """``manifest`` is empty where the job committed no folder."""

    found: Found
    summary: Mapping[str, Any]
    manifest: Mapping[str, Any]

    @property
    def filters(self) -> list[str]:
        """Every filter that ran, in its order."""
        ran = [str(step["filter"]) for step in self.manifest.get("filters", ())]
        return list(dict.fromkeys((*ran, *(name for name in _BUILT_IN if self.summary.get(name)))))

    @property
    def waterfall(self) -> list[Bar]:
        """From what was drawn to what was kept; what the summary gives no reason for is shown as such."""
        left = int(self.summary.get("trajectories", 0))
        bars = [Bar("drawn", left, left, whole=True)]
        for name in (LOST, *self.filters, SURPLUS):
            gone = int(self.summary.get(name, 0))
            left -= gone
            bars.append(Bar(name, -gone, left))
        kept = int(self.summary.get(KEPT, left))
        if left != kept:
            bars.append(Bar("other", kept - left, kept))
        return [*bars, Bar(KEPT, kept, kept, whole=True)]


async def data_set(console: Console, request: Request, job_id: str) -> DataSet:
    """A teacher job's data set.

    Raises:
        NotFoundError: there is no such job.
        UserError: it is none that makes a data set.
        ConflictError: it has committed none.
    """
    found = await find(console, request, job_id)
    names = {entry.name for entry in await artifacts(console, request, found)}
    if "summary.json" not in names:
        if found.job.kind != "teacher":
            raise UserError(f"{job_id} is a {found.job.kind} job", field="job", allowed="a teacher job")
        raise ConflictError(
            f"{job_id} is {found.job.state}: it has no data set", field="job", allowed=f"see /jobs/{job_id}"
        )
    authorization = session_of(request.scope).authorization
    path = resource(found, "artifacts", "summary.json")
    summary = (await console.upstream.call(authorization, found.service, "GET", path)).json()
    manifest = await _manifest(console, authorization, found) if "dataset" in names else {}
    return DataSet(found, summary, manifest)


async def _manifest(console: Console, authorization: str, found: Found) -> dict[str, Any]:
    headers = {"range": f"bytes=0-{_HEAD_BYTES - 1}"}
    path = resource(found, "artifacts", "dataset")
    try:
        answer = await console.upstream.call(authorization, found.service, "GET", path, headers=headers)
    except NotFoundError:
        return {}
    return in_archive(answer.content, "manifest.json")


def in_archive(head: bytes, name: str) -> dict[str, Any]:
    """A JSON object from the beginning of a tar file; empty where it is not in there."""
    try:
        with tarfile.open(fileobj=io.BytesIO(head), mode="r|") as archive:
            for member in archive:
                body = archive.extractfile(member) if member.isfile() else None
                if body is not None and member.name.rpartition("/")[2] == name:
                    made = json.loads(body.read())
                    return made if isinstance(made, dict) else {}
    except (tarfile.TarError, ValueError, RecursionError, EOFError):
        return {}
    return {}
