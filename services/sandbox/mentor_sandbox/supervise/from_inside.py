"""Server. The server's ear: what a child says on its socket is parsed here and nowhere else.

Whoever speaks has met hostile code and may say anything. So nothing is unmarshalled, every length is held against what is
there, a result counts only with the nonce of its request and a value that is JSON, and what does not fit is None. One thing
is believed: the first frame, which a child sends before the caller's code runs.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from mentor_sandbox.results import Answer, Status
from mentor_sandbox.wire.frames import BEGUN, DONE, FRAME, RESULT, STATUSES, Result

FIRST_BYTES = FRAME.size + BEGUN.size
_SLACK = 1_000_000
"""Of a session's frame beyond its value: texts and tracebacks."""


class Done(NamedTuple):
    """What a worker says of a call: ends of its outputs, its peak memory, why it ends ("" if it does not), the result."""

    out: int
    err: int
    peak_kib: int
    reason: str
    result: bytes


class Frames:
    """Payloads out of the pieces in which they come."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The payloads that are complete now."""
        self._buffer += data
        while len(self._buffer) >= FRAME.size:
            (length,) = FRAME.unpack_from(self._buffer)
            end = FRAME.size + length
            if len(self._buffer) < end:
                return
            payload = bytes(self._buffer[FRAME.size : end])
            del self._buffer[:end]
            yield payload


async def next_frame(reader: asyncio.StreamReader, result_bytes: int) -> bytes | None:
    """The next payload of a session; None if there is none, empty if it is larger than one with such a result may be."""
    try:
        (size,) = FRAME.unpack(await reader.readexactly(FRAME.size))
        if size > RESULT.size + result_bytes + _SLACK:
            return b""
        return await reader.readexactly(size)
    except (asyncio.IncompleteReadError, OSError):
        return None


def begun_at(said: bytes | bytearray) -> float:
    """When a child's walls stood, on the monotonic clock, from the ``FIRST_BYTES`` of what it said."""
    (begun,) = BEGUN.unpack_from(said, FRAME.size)
    return float(begun)


def answer_of(said: bytes, nonce: int) -> Answer | None:
    """The one frame of a well-behaved call; None for anything else."""
    if len(said) < FRAME.size or FRAME.unpack_from(said)[0] != len(said) - FRAME.size:
        return None
    return result_of(said[FRAME.size :], nonce)


def result_of(payload: bytes, nonce: int) -> Answer | None:
    """A result whose value is JSON; None for anything else."""
    result = unpack_result(payload, nonce)
    if result is None or (result[1] is not None and not is_json(result[1])):
        return None
    return Status(result[0]), *result[1:]


def cell_of(payload: bytes, nonce: int) -> tuple[Answer, dict[str, str]] | None:
    """A cell's result and the texts that come with it; None for anything else. A cell may have no value."""
    result = unpack_result(payload, nonce)
    if result is None:
        return None
    status, value, kind, note = result
    if status == "ok":
        value, kind = (None, "") if kind == "none" else (value, "")
    if value is not None and not is_json(value):
        return None
    found = texts(note)
    return (Status(status), value, kind, found.get("message", "")), found


def texts(note: str) -> dict[str, str]:
    """What a session's process adds to a result: made by it, so believed in nothing."""
    try:
        found: Any = json.loads(note)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {str(k): v.encode("utf-8", "backslashreplace").decode() for k, v in found.items() if isinstance(v, str)}


def done_of(payload: bytes) -> Done:
    """What a worker says when a call has ended; its result is not looked at yet (``result_of``, with nonce 0)."""
    out, err, peak_kib, size = DONE.unpack_from(payload)
    reason = payload[DONE.size : DONE.size + size].decode("ascii", "replace")
    return Done(out, err, peak_kib, reason, payload[DONE.size + size :])


def printed_text(data: bytes) -> str:
    """What a child printed, as text."""
    return data.decode("utf-8", "replace") if data else ""


def unpack_result(payload: bytes, nonce: int) -> Result | None:
    """A result if that is what it is and it carries the nonce, else None. Its value is not known to be JSON."""
    if len(payload) < RESULT.size:
        return None
    seen, status, has_value, size, kind_size = RESULT.unpack_from(payload)
    body = payload[RESULT.size :]
    if seen != nonce or status >= len(STATUSES) or size + kind_size > len(body) or has_value != (status == 0):
        return None
    try:
        value = body[:size].decode("ascii") if has_value else None
        kind = body[size : size + kind_size].decode("utf-8")
        return STATUSES[status], value, kind, body[size + kind_size :].decode("utf-8")
    except UnicodeDecodeError:
        return None


def is_json(text: str) -> bool:
    """Whether a value that a process claims is JSON, without NaN and infinities."""
    try:
        json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return False
    return True


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
