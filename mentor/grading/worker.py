"""Worker processes of the math judge: a zygote that has its libraries imported, and forks of it that judge.

Started as ``python -m mentor.grading.worker FD`` with one end of a socket pair. The parser takes a second of CPU to import
and warm up; a fork takes milliseconds, so that killing a worker costs the next answer next to nothing. The zygote itself
never reads an answer. It does not reap a fork before it was told to kill it, so that a process id is never somebody else's.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import json
import os
import resource
import signal
import socket
import sys
from typing import NoReturn

from mentor.grading.equivalence import equivalent
from mentor.grading.symbolic import symbolically_equal
from mentor.grading.worker_protocol import REPLY, REQUEST

MEMORY_BYTES = 2 << 30
METHODS = {"math": equivalent, "symbolic": symbolically_equal}
_PR_SET_PDEATHSIG = 1


def main() -> None:
    control = socket.socket(fileno=int(sys.argv[1]))
    libc = ctypes.CDLL(None)
    for method in METHODS.values():
        method("\\sqrt{2}+x", "x+2^{1/2}")  # imports and warms the parsers before the first deadline runs
    gc.freeze()
    control.send(REPLY.pack(os.getpid()))
    children: set[int] = set()
    while True:
        message, fds, _, _ = socket.recv_fds(control, REQUEST.size, 1)
        if len(message) < REQUEST.size:
            break
        command, number = REQUEST.unpack(message)
        if command == b"F":
            pid = os.fork()
            if pid == 0:
                control.close()
                libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
                _judge(fds[0], number)
            os.close(fds[0])
            children.add(pid)
            control.send(REPLY.pack(pid))
        else:
            if number in children:
                children.discard(number)
                _kill(number)
            control.send(REPLY.pack(number))
    for pid in children:
        _kill(pid)


def _kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, 0)


def _judge(fd: int, niceness: int) -> NoReturn:
    """Serve one connection: a JSON request a line in, a verdict a line out."""
    try:
        os.nice(niceness)
        # An answer such as a tower of powers can eat memory faster than its deadline comes.
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
        sys.set_int_max_str_digits(5000)
        connection = socket.socket(fileno=fd)
        for line in connection.makefile("r", encoding="utf-8"):
            connection.sendall(json.dumps(_verdict(json.loads(line))).encode() + b"\n")
    finally:
        os._exit(0)


def _verdict(request: dict[str, str]) -> dict[str, object]:
    try:
        correct, reason = METHODS[request["method"]](request["prediction"], request["gold"])
    except (Exception, RecursionError) as error:  # any answer at all may come; none may end the worker
        correct, reason = False, f"error: {type(error).__name__}"
    return {"correct": correct, "reason": reason}


if __name__ == "__main__":
    main()
