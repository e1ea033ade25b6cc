"""One call, in its own process: walls first, then the request, then the tool, then one frame with the result.

What a call prints goes to two memory files of the server, so that nothing is lost when it is killed. The result counts
only if it carries the request's nonce, is the only frame, and the process then exits with 0: a tool that writes to the
result's socket spoils its own call and no other's.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import gc
import inspect
import io
import marshal
import os
import socket
import sys
import types
from json import dumps, loads
from typing import Any, NoReturn

from mentor_sandbox.codec import encode
from mentor_sandbox.walls import landlock, rlimits, seccomp
from mentor_sandbox.walls.libc import PR_SET_PDEATHSIG, prctl
from mentor_sandbox.wire import FRAME, frame

EXIT_BROKEN = 70
_SIGKILL = 9
_RESULT_FD = 3
_LAST_FD = 65536
_MAX_MESSAGE = 2000
MODULE_NAME = "__sandbox__"


def run(
    parent: int, descriptors: list[int], config: dict[str, Any], readable: landlock.Readable, base_memory: int
) -> NoReturn:
    """Be the call whose socket, stdout and stderr are ``descriptors``."""
    prctl(PR_SET_PDEATHSIG, _SIGKILL)
    if os.getppid() != parent:
        os._exit(EXIT_BROKEN)
    os.setsid()
    os.umask(0o077)
    _place(descriptors)
    channel = socket.socket(fileno=_RESULT_FD)
    request = loads(_read_frame(channel))
    _raise_walls(request, config, readable, base_memory)
    sys.argv[:] = [""]
    sys.stdout, sys.stderr = _stream(1), _stream(2)
    _reseed()
    gc.enable()
    channel.sendall(frame(b""))
    result = _guarded(request)
    payload = dumps({"nonce": request["nonce"], **result}).encode("ascii")
    if len(payload) > config["result_bytes"]:
        limit = config["result_bytes"]
        result = _failure("output_limit", "OutputLimit", f"the result exceeds {limit} bytes as JSON")
        payload = dumps({"nonce": request["nonce"], **result}).encode("ascii")
    channel.sendall(frame(payload))
    os._exit(0)


def _place(descriptors: list[int]) -> None:
    """The socket at its fixed place, output to the server's files, input from nowhere."""
    copies = [fcntl.fcntl(descriptor, fcntl.F_DUPFD, landlock.FIRST_DESCRIPTOR) for descriptor in descriptors]
    for copy, place in zip(copies, (_RESULT_FD, 1, 2), strict=True):
        os.dup2(copy, place)
    os.dup2(os.open("/dev/null", os.O_RDONLY), 0)


def _raise_walls(
    request: dict[str, Any], config: dict[str, Any], readable: landlock.Readable, base_memory: int
) -> None:
    os.chdir(request["scratch"])
    readable.restrict(request["scratch"], config["devices"], config["ports"])
    os.closerange(_RESULT_FD + 1, _LAST_FD)
    rlimits.apply(
        timeout_s=request["timeout_s"],
        memory_bytes=base_memory + config["memory_bytes"],
        file_bytes=config["file_bytes"],
        open_files=config["open_files"],
        processes=None if config["seccomp"] else 0,
    )
    if config["seccomp"]:
        seccomp.install(seccomp.for_call(os.getpid()))
    os.environ.clear()


def _read_frame(channel: socket.socket) -> bytes:
    (length,) = FRAME.unpack(_exactly(channel, FRAME.size))
    return _exactly(channel, length)


def _exactly(channel: socket.socket, size: int) -> bytes:
    buffer = bytearray(size)
    view = memoryview(buffer)
    while view:
        count = channel.recv_into(view)
        if count == 0:
            os._exit(EXIT_BROKEN)
        view = view[count:]
    return bytes(buffer)


def _stream(descriptor: int) -> io.TextIOWrapper:
    """Unbuffered text output: what was printed before a kill is not lost."""
    raw: Any = io.FileIO(descriptor, "w")
    return io.TextIOWrapper(raw, encoding="utf-8", errors="backslashreplace", write_through=True)


def _reseed() -> None:
    """Every fork starts from the same generator state; Python reseeds its own, NumPy does not."""
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed()


def _guarded(request: dict[str, Any]) -> dict[str, Any]:
    """The result of the call, whatever it raises."""
    try:
        result = _perform(request)
    except MemoryError:
        return _failure("memory", "MemoryError", "the memory limit was reached")
    except BaseException as error:
        return _failure("tool_error", type(error).__name__, _message(error))
    finally:
        _flush()
    return result


def _perform(request: dict[str, Any]) -> dict[str, Any]:
    module = types.ModuleType(MODULE_NAME)
    sys.modules[MODULE_NAME] = module
    if request["code"]:
        code = marshal.loads(base64.b64decode(request["code"]))
    else:
        code = compile(request["source"], "<tools>", "exec")
    exec(code, module.__dict__)
    if request["expression"] is not None:
        return _evaluate(request["expression"], module)
    return _apply(request["function"], request["arguments"], module)


def _evaluate(expression: str, module: types.ModuleType) -> dict[str, Any]:
    try:
        code = compile(expression.strip(), "<call>", "eval")
    except (SyntaxError, ValueError, RecursionError) as error:
        return _failure("invalid_call", type(error).__name__, _message(error))
    return _success(eval(code, module.__dict__))


def _apply(name: str, arguments: dict[str, Any], module: types.ModuleType) -> dict[str, Any]:
    function = module.__dict__.get(name)
    if not callable(function):
        return _failure("invalid_call", "UnknownFunction", f"the source defines no function {name!r}")
    try:
        inspect.signature(function).bind(**arguments)
    except TypeError as error:
        return _failure("invalid_call", "TypeError", _message(error))
    except ValueError:
        pass
    return _success(function(**arguments))


def _success(value: Any) -> dict[str, Any]:
    return {"status": "ok", "value_json": encode(value), "error_type": "", "error_message": ""}


def _failure(status: str, error_type: str, message: str) -> dict[str, Any]:
    return {"status": status, "value_json": None, "error_type": error_type, "error_message": message}


def _message(error: BaseException) -> str:
    try:
        text = str(error)
    except Exception:
        text = "(its message could not be read)"
    return text.encode("utf-8", "backslashreplace").decode("utf-8")[:_MAX_MESSAGE]


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()
