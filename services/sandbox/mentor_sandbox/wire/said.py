"""What server, zygote and child say to one another. Standard library only.

Server to zygote, one packet each: ``F`` fork a child (its descriptors come along, the number is its user id or -1),
``K`` kill a child, ``S`` send a child alone the signal in the number, ``P`` stop a child alone and say so, ``N`` lower a
child's priority if it has used the CPU for most of the milliseconds in the last field. Zygote to server: ``X`` a child
ended, ``E`` the fork failed, ``P`` the child is stopped, ``L`` the priority was lowered. The zygote never sees a request:
the child reads it from its own socket, one frame of ``marshal`` (both ends are the same interpreter), and answers with
frames of its own. What comes from a child is never unmarshalled: results have a fixed binary form.
"""

from __future__ import annotations

import struct

PACKET = struct.Struct("=cQiq")
"""Kind, child id, user id (``F``), wait status (``X``) or errno (``E``), peak resident memory in KiB (``X``)."""
FRAME = struct.Struct("=I")
BEGUN = struct.Struct("=d")
"""Payload of a child's first frame: when its walls stood, on the monotonic clock."""
CONFIG_BYTES = 65536
"""Most that a zygote's configuration takes: the first packet, JSON."""
MAX_DESCRIPTORS = 4
FORK, KILL, NICE, SIGNAL, PAUSE, EXITED, FAILED, LOWERED = b"F", b"K", b"N", b"S", b"P", b"X", b"E", b"L"

STATUSES = ("ok", "tool_error", "invalid_call", "memory", "output_limit")
"""What a call's own process may claim; the others are for the server to say."""
_RESULT = struct.Struct("=QBbII")
RESULT_OVERHEAD = _RESULT.size
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
    head = _RESULT.pack(nonce, STATUSES.index(status), value is not None, len(text), len(error))
    return b"".join((head, text, error, message.encode("utf-8", "backslashreplace")))


def unpack_result(payload: bytes, nonce: int) -> Result | None:
    """A result if that is what it is and it carries the nonce, else None."""
    if len(payload) < _RESULT.size:
        return None
    seen, status, has_value, size, kind_size = _RESULT.unpack_from(payload)
    body = payload[_RESULT.size :]
    if seen != nonce or status >= len(STATUSES) or size + kind_size > len(body) or has_value != (status == 0):
        return None
    try:
        value = body[:size].decode("ascii") if has_value else None
        kind = body[size : size + kind_size].decode("utf-8")
        return STATUSES[status], value, kind, body[size + kind_size :].decode("utf-8")
    except UnicodeDecodeError:
        return None
