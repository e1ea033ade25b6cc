"""Server and child. What the server and a child say to each other: frames on the child's own socket.

The server's frames are ``marshal`` (both ends are the same interpreter); a zygote never sees one. A child's have the fixed
binary forms below, are packed here, and read in one place, ``supervise.from_inside``. Standard library only.
"""

from __future__ import annotations

import struct

FRAME = struct.Struct("=I")
BEGUN = struct.Struct("=d")
"""Payload of a child's first frame: when its walls stood, on the monotonic clock."""
STATUSES = ("ok", "tool_error", "invalid_call", "memory", "output_limit")
"""What a call's own process may claim; the others are for the server to say."""
RESULT = struct.Struct("=QBbII")
"""Head of a result: nonce, place of its status, whether it has a value, bytes of the value, bytes of the error's class."""
DONE = struct.Struct("=QQQH")
"""What a worker adds in front of a result: ends of its two outputs, its peak memory in KiB, length of a reason."""

Result = tuple[str, "str | None", str, str]
"""Status, value as JSON, class of the error, its message."""


def frame(payload: bytes) -> bytes:
    """A payload with its length in front."""
    return FRAME.pack(len(payload)) + payload


def pack_result(nonce: int, result: Result) -> bytes:
    """A result in its binary form."""
    status, value, kind, message = result
    text = b"" if value is None else value.encode("utf-8", "surrogatepass")
    error = kind.encode("utf-8", "backslashreplace")
    head = RESULT.pack(nonce, STATUSES.index(status), value is not None, len(text), len(error))
    return b"".join((head, text, error, message.encode("utf-8", "backslashreplace")))
