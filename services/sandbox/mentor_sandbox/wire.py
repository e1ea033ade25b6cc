"""What server, zygote and call say to one another. Standard library only.

Server to zygote, one packet each: ``F`` fork a call (carrying three descriptors: the call's socket, its standard
output and its standard error), ``K`` kill a call. Zygote to server: ``X`` a call ended,
``E`` the fork failed. The zygote never sees a request: the call reads it from its own socket, as one frame, and answers
with one frame.
"""

from __future__ import annotations

import struct

PACKET = struct.Struct("=cQiq")
"""Kind, call id, wait status (``X``) or errno (``E``), peak resident memory in KiB (``X``)."""
FRAME = struct.Struct("=I")
CONFIG_BYTES = 65536
"""Most that a zygote's configuration takes: the first packet, JSON."""
FORK, KILL, EXITED, FAILED = b"F", b"K", b"X", b"E"


def frame(payload: bytes) -> bytes:
    """A payload with its length in front."""
    return FRAME.pack(len(payload)) + payload
