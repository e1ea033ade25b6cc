"""Child. The role of one whole program: ``python main.py`` with real input, arguments, exit code and traceback.

Its exit code is the process's own, so every way to end a program counts as it does outside. The one frame that it
sends tells only which exception ended it; a program that forges it deceives nobody but its caller about that name.
Standard library only.
"""

from __future__ import annotations

import atexit
import contextlib
import io
import linecache
import os
import socket
import sys
import threading
import traceback
import types
from typing import Any

from mentor_sandbox.inside.call import raised
from mentor_sandbox.inside.child import begun
from mentor_sandbox.inside.template import RESULT_FD
from mentor_sandbox.wire.frames import Result, frame, pack_result

STDIN_FD = RESULT_FD + 1
FILE_NAME = "main.py"
_NOTHING: Result = ("tool_error", None, "", "")


def run(request: dict[str, Any], channel: socket.socket, config: dict[str, Any]) -> None:
    """Be the program. Does not return."""
    if request["stdin"]:
        os.dup2(STDIN_FD, 0)
        os.close(STDIN_FD)
    raw = io.BufferedReader(io.FileIO(0, closefd=False))
    sys.stdin = vars(sys)["__stdin__"] = io.TextIOWrapper(raw, encoding="utf-8", errors="surrogateescape")
    directory = request["scratch"]
    begun(channel)
    code, result = execute(request["code"], directory)
    if result is not _NOTHING:
        with contextlib.suppress(OSError):
            channel.sendall(frame(pack_result(request["nonce"], result)))
    os._exit(code & 0xFF)


def main_module(directory: str) -> dict[str, Any]:
    """The namespace of a fresh ``__main__``, with imports from ``directory`` first."""
    module = types.ModuleType("__main__")
    module.__dict__["__builtins__"] = __builtins__
    sys.modules["__main__"] = module
    sys.argv[:] = [FILE_NAME]
    sys.path.insert(0, directory)
    return module.__dict__


def remember(name: str, source: str) -> None:
    """Let tracebacks show the source, which is in no file."""
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)


def execute(source: str, directory: str) -> tuple[int, Result]:
    """Run a program to its end, threads and exit handlers included: its exit code, and what ended it."""
    namespace = main_module(directory)
    namespace["__file__"] = f"{directory}/{FILE_NAME}"
    remember(FILE_NAME, source)
    code, result = _guarded(lambda: exec(compile(source, FILE_NAME, "exec", dont_inherit=True), namespace))
    for last in (threading._shutdown, atexit._run_exitfuncs, sys.stdout.flush, sys.stderr.flush):  # type: ignore[attr-defined]
        try:
            last()
        except BaseException:
            code = code or 120
    return code, result


def _guarded(body: Any) -> tuple[int, Result]:
    try:
        body()
    except SystemExit as end:
        return _exit_code(end), _NOTHING
    except KeyboardInterrupt as error:
        report(error)
        return 130, ("tool_error", None, "KeyboardInterrupt", "")
    except BaseException as error:
        result = raised(error)
        report(error)
        return 1, result
    return 0, _NOTHING


def _exit_code(end: SystemExit) -> int:
    """As Python has it: a number, nothing for success, anything else is printed and means 1."""
    if end.code is None:
        return 0
    if isinstance(end.code, int):
        return end.code
    with contextlib.suppress(BaseException):
        print(end.code, file=sys.stderr)
    return 1


def report(error: BaseException) -> None:
    """Show an exception as the interpreter does, without our own frames."""
    shown = error.with_traceback(own(error))
    try:
        if sys.excepthook is sys.__excepthook__:
            traceback.print_exception(shown)
        else:
            sys.excepthook(type(error), shown, shown.__traceback__)
    except BaseException:
        with contextlib.suppress(BaseException):
            os.write(2, f"{type(error).__name__}\n".encode("ascii", "replace"))


def own(error: BaseException) -> types.TracebackType | None:
    """The part of a traceback that begins in the program itself."""
    step = error.__traceback__
    while step is not None and step.tb_frame.f_globals.get("__name__", "").startswith("mentor_sandbox."):
        step = step.tb_next
    return step
