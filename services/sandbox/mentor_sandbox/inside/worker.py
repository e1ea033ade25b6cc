"""Child. The role of a warm worker: it loads registered tools once and runs calls of them, one at a time.

Calls come several in a frame. Before each one the worker takes a ticket from a pipe that the server can read as well:
a call whose ticket the server has taken back was never started here, and may be given to another worker. After each
call it looks for signs of trouble (``_Hygiene``) and, if there is one, says so in the result and ends. Standard library
only.
"""

from __future__ import annotations

import _thread
import builtins
import marshal
import math
import os
import resource
import signal
import socket
import sys
from json.encoder import encode_basestring_ascii
from pathlib import Path
from typing import Any

from mentor_sandbox.inside.call import apply, failure, guarded, message, new_module, success, too_large
from mentor_sandbox.inside.child import begun, read_frame
from mentor_sandbox.inside.template import RESULT_FD
from mentor_sandbox.wire.frames import DONE, Result, frame, pack_result

TICKETS_FD = RESULT_FD + 1
_SMALL_BITS = 4096
_HERE = Path()


def run(request: dict[str, Any], channel: socket.socket, config: dict[str, Any]) -> None:
    """Be the worker, until the server closes the channel or something is wrong."""
    tools = _load(request["sources"], request["tools"])
    hygiene = _Hygiene(request["spare_kib"], config["file_bytes"])
    left: int = request["max_calls"]
    begun(channel)
    while True:
        for number, arguments in marshal.loads(read_frame(channel)):
            if not _ticket():
                break
            left -= 1
            result = _run(tools[number], arguments, config["result_bytes"])
            out, err, peak, trouble = hygiene.inspect()
            reason = (trouble or ("" if left else "calls")).encode("ascii")
            if result[0] == "memory":
                reason = b"memory"
            channel.sendall(
                frame(DONE.pack(out, err, peak, len(reason)) + reason + pack_result(0, result)),
            )
            if reason:
                _wait_for_the_end(channel)
                return


def _wait_for_the_end(channel: socket.socket) -> None:
    """Until the server has read everything and closes: a worker that ends earlier breaks the server's next write."""
    while channel.recv(65536):
        continue


def _ticket() -> bool:
    """Whether the next call may start here; the server may have taken it back."""
    try:
        return bool(os.read(TICKETS_FD, 1))
    except BlockingIOError:
        return False


def _load(sources: list[bytes], tools: list[tuple[int, str]]) -> list[Any]:
    """Each tool's function, or the failure that every call of it gets."""
    loaded: list[Any] = []
    for number, code in enumerate(sources):
        namespace = new_module(f"__tools_{number}__")
        try:
            exec(marshal.loads(code), namespace)
        except BaseException as error:
            loaded.append(failure("tool_error", type(error).__name__, message(error)))
        else:
            loaded.append(namespace)
    return [loaded[n] if isinstance(loaded[n], tuple) else (loaded[n].get(name), name) for n, name in tools]


def _run(tool: Any, arguments: dict[str, Any], limit: int) -> Result:
    if len(tool) == 4:
        broken: Result = tool
        return broken
    function, name = tool
    result = _plain_result(function, arguments) or guarded(lambda: apply(function, name, arguments))
    if result[1] is not None and len(result[1]) > limit:
        return too_large(limit)
    return result


def _plain_result(function: Any, arguments: dict[str, Any]) -> Result | None:
    """The result of a call that raises nothing, encoded on a short way where its type allows; None to take the long one.

    None comes only from arguments that do not bind, before any line of the tool ran.
    """
    try:
        value = function(**arguments)
    except TypeError as error:
        if error.__traceback__ is not None and error.__traceback__.tb_next is None:
            return None
        return failure("tool_error", "TypeError", message(error))
    except MemoryError:
        return failure("memory", "MemoryError", "the memory limit was reached")
    except BaseException as error:
        return failure("tool_error", type(error).__name__, message(error))
    kind = type(value)
    if kind is int and value.bit_length() < _SMALL_BITS:
        return "ok", str(value), "", ""
    if kind is float and math.isfinite(value):
        return "ok", repr(value), "", ""
    if kind is str:
        return "ok", encode_basestring_ascii(value), "", ""
    return guarded(lambda: success(value))


class _Hygiene:
    """Cheap signs that a call has left something behind for the next one.

    Seen: threads, descriptors opened or closed, files in (or a move from) the scratch directory, changed builtins,
    import paths and hooks, replaced output streams, tracing, a running timer, a changed recursion limit, and more peak
    memory than a worker may keep. Not seen: what a tool keeps in its own module, and changes inside library modules;
    registered code is the operator's.
    """

    def __init__(self, spare_kib: int, file_bytes: int) -> None:
        self._peak_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss + spare_kib
        self._output = file_bytes // 2
        self._builtins = dict(builtins.__dict__)
        self._streams = (sys.stdout, sys.stderr)
        self._now = self._state()

    def inspect(self) -> tuple[int, int, int, str]:
        """Ends of standard output and error, peak memory in KiB, and what is wrong ("" if nothing)."""
        out, err = os.lseek(1, 0, os.SEEK_END), os.lseek(2, 0, os.SEEK_END)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return out, err, peak, self._trouble(out + err, peak)

    def _trouble(self, output: int, peak: int) -> str:
        if (sys.stdout, sys.stderr) != self._streams:
            return "streams"
        if builtins.__dict__ != self._builtins:
            return "builtins"
        if self._state() != self._now:
            return "leftovers"
        if peak > self._peak_kib:
            return "memory"
        return "output" if output > self._output else ""

    def _state(self) -> tuple[object, ...]:
        """What stays the same from call to call."""
        probe = os.dup(RESULT_FD)
        os.close(probe)
        here = _HERE.stat()
        return (
            probe,
            _thread._count(),
            here.st_ino,
            here.st_mtime_ns,
            len(sys.path),
            len(sys.meta_path),
            len(sys.path_hooks),
            sys.gettrace(),
            sys.getprofile(),
            sys.getrecursionlimit(),
            signal.getitimer(signal.ITIMER_REAL)[0] > 0,
        )
