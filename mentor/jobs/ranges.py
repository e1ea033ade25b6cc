"""HTTP ranges over an artefact's content (RFC 9110, one range; others are answered with everything)."""

from __future__ import annotations

import re
from collections.abc import Mapping

from fastapi import Response
from fastapi.responses import StreamingResponse

from mentor.jobs.archive import Content

_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


def ranged(content: Content, digest: str, headers: Mapping[str, str], *, body: bool = True) -> Response:
    """The answer to a request: 200, 206 for a part, or 416 for one that is not there.

    Args:
        digest: the artefact's SHA-256: header ``X-Sha256``, and the entity tag that ``If-Range`` is compared with.
        headers: of the request.
        body: False for HEAD.
    """
    tag = f'"{digest}"'
    told = {
        "Accept-Ranges": "bytes",
        "ETag": tag,
        "X-Sha256": digest,
        "Content-Disposition": f'attachment; filename="{_plain(content.name)}"',
    }
    span = _span(headers.get("range", ""), content.size) if headers.get("if-range", tag) == tag else None
    if span is None:
        start, stop, status = 0, content.size, 200
    elif span[0] >= span[1]:
        return Response(status_code=416, headers={**told, "Content-Range": f"bytes */{content.size}"})
    else:
        (start, stop), status = span, 206
        told["Content-Range"] = f"bytes {start}-{stop - 1}/{content.size}"
    told["Content-Length"] = str(stop - start)
    if not body:
        return Response(status_code=status, headers=told, media_type="application/octet-stream")
    blocks = content.read(start, stop)
    return StreamingResponse(blocks, status_code=status, headers=told, media_type="application/octet-stream")


def _span(asked: str, size: int) -> tuple[int, int] | None:
    """First byte and the one after the last; None where no range, or none that we know, is asked for."""
    found = _RANGE.fullmatch(asked.strip())
    if found is None or found[1] == found[2] == "":
        return None
    if found[1] == "":  # the last so many bytes
        return max(0, size - int(found[2])), size if int(found[2]) else 0
    if found[2] and int(found[2]) < int(found[1]):
        return None
    return int(found[1]), min(int(found[2]) + 1, size) if found[2] else size


def _plain(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._ -]", "_", name)
