"""What Ray starts in a worker's place: asks ``prefork`` for a fork, and ends as that ends.

The standard library alone, so that it is up at once. Both sides of the message are here: its length, which carries the three
descriptors, then JSON; the answer is an exit status.
"""

from __future__ import annotations

import json
import os
import socket
import struct
import sys
from pathlib import Path

LENGTH = struct.Struct("!I")
STATUS = struct.Struct("!i")
_DESCRIPTORS = 3


def send(connection: socket.socket, message: bytes) -> None:
    """A message with this process's input and outputs."""
    socket.send_fds(connection, [LENGTH.pack(len(message))], list(range(_DESCRIPTORS)))
    connection.sendall(message)


def receive(connection: socket.socket) -> tuple[bytes, list[int]] | None:
    """A message and its descriptors; None from who says nothing."""
    head, descriptors, _, _ = socket.recv_fds(connection, LENGTH.size, _DESCRIPTORS)
    if len(head) < LENGTH.size:
        return None
    (length,) = LENGTH.unpack(head)
    message = bytearray()
    while len(message) < length:
        part = connection.recv(length - len(message))
        if not part:
            return None
        message += part
    return bytes(message), descriptors


def main() -> int:
    """Arguments: the socket, then what Python would have been given. Returns the fork's exit status."""
    path, *arguments = sys.argv[1:]
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.connect(path)
    wanted = {"arguments": arguments, "environment": dict(os.environ), "directory": str(Path.cwd())}
    send(connection, json.dumps(wanted).encode())
    ended = connection.recv(STATUS.size)
    status: int = STATUS.unpack(ended)[0] if len(ended) == STATUS.size else 1
    return status if status >= 0 else 128 - status


if __name__ == "__main__":
    sys.exit(main())
