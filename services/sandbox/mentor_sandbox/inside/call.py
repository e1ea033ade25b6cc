"""Child. The role of one untrusted call: run what the request holds, answer with one frame, and be gone.

The result counts only if it carries the request's nonce, is the only frame, and the process then exits with 0: a tool
that writes to the result's socket spoils its own call and no other's. Standard library only.
"""

from __future__ import annotations

import errno
import inspect
import marshal
import socket
import sys
import types
from typing import Any

from mentor_sandbox.inside.child import begun
from mentor_sandbox.wire.frames import RESULT, Result, frame, pack_result
from mentor_sandbox.wire.values import encode

_MAX_MESSAGE = 2000
_reserve = [bytearray(4 << 20)]
"""Address space (no memory: it is never touched) that is given back to report that there is none left."""
MODULE_NAME = "__sandbox__"


def run(request: dict[str, Any], channel: socket.socket, config: dict[str, Any]) -> None:
    """Be the call."""
    begun(channel)
    payload = pack_result(request["nonce"], guarded(lambda: perform(request)))
    limit: int = config["result_bytes"]
    if len(payload) > limit + RESULT.size:
        payload = pack_result(request["nonce"], too_large(limit))
    channel.sendall(frame(payload))


def guarded(perform: Any) -> Result:
    """The result of ``perform``, whatever it raises."""
    try:
        result: Result = perform()
    except BaseException as error:
        return raised(error)
    finally:
        flush()
    return result


def out_of_memory(error: BaseException) -> bool:
    """Whether the memory limit made it; room to say so is then given back."""
    found = isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM)
    if found:
        _reserve.clear()
    return found


def raised(error: BaseException) -> Result:
    """The result of a call that raised."""
    if out_of_memory(error):
        return failure("memory", "MemoryError", "the memory limit was reached")
    return failure("tool_error", type(error).__name__, message(error))


def perform(request: dict[str, Any]) -> Result:
    """Run the source, then call the function or evaluate the expression."""
    namespace = new_module(MODULE_NAME)
    code = request["code"]
    exec(marshal.loads(code) if code else compile(request["source"], "<tools>", "exec", dont_inherit=True), namespace)
    if request["expression"] is not None:
        return _evaluate(request["expression"], namespace)
    return apply(namespace.get(request["function"]), request["function"], request["arguments"])


def new_module(name: str) -> dict[str, Any]:
    """The namespace of a fresh module that is in ``sys.modules``, as dataclasses and pickles expect."""
    module = types.ModuleType(name)
    sys.modules[name] = module
    return module.__dict__


def _evaluate(expression: str, namespace: dict[str, Any]) -> Result:
    try:
        code = compile(expression.strip(), "<call>", "eval", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError) as error:
        return failure("invalid_call", type(error).__name__, message(error))
    return success(eval(code, namespace))


def apply(function: Any, name: str, arguments: dict[str, Any]) -> Result:
    """Call a tool by keywords; arguments that do not bind are the caller's fault, not the tool's."""
    if not callable(function):
        return failure("invalid_call", "UnknownFunction", f"the source defines no function {name!r}")
    try:
        value = function(**arguments)
    except TypeError as error:
        # Raised by the call itself, before any line of the function ran: ask why, at leisure.
        if error.__traceback__ is not None and error.__traceback__.tb_next is None:
            unbound = _unbound(function, arguments)
            if unbound is not None:
                return failure("invalid_call", "TypeError", unbound)
        raise
    return success(value)


def _unbound(function: Any, arguments: dict[str, Any]) -> str | None:
    try:
        inspect.signature(function).bind(**arguments)
    except TypeError as error:
        return message(error)
    except ValueError:
        pass
    return None


def success(value: Any) -> Result:
    """The result of a call that returned."""
    return "ok", encode(value), "", ""


def failure(status: str, error_type: str, text: str) -> Result:
    """The result of one that did not."""
    return status, None, error_type, text


def too_large(limit: int) -> Result:
    """The result of a call whose value is too large."""
    return failure("output_limit", "OutputLimit", f"the result exceeds {limit} bytes as JSON")


def message(error: BaseException) -> str:
    """An exception's text, even of one that cannot be shown."""
    try:
        text = str(error)
    except BaseException:
        text = "(its message could not be read)"
    return text.encode("utf-8", "backslashreplace").decode("utf-8")[:_MAX_MESSAGE]


def flush() -> None:
    """Let out what was printed. A stream of the caller's may raise anything: that is its own affair."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BaseException:
            continue
