"""Child. The role of a session: cells run one after the other in one ``__main__``, and the last expression is their value.

An interrupt (SIGINT) ends the running cell with KeyboardInterrupt and is ignored between cells, where the server
keeps the process stopped. Standard library only.
"""

from __future__ import annotations

import ast
import contextlib
import json
import marshal
import signal
import socket
import traceback
from typing import Any

from mentor_sandbox.inside.call import flush, raised
from mentor_sandbox.inside.child import begun, read_frame
from mentor_sandbox.inside.program import main_module, own, remember
from mentor_sandbox.wire.frames import Result, frame, pack_result
from mentor_sandbox.wire.values import encode

_MAX_TEXT = 100_000
_NO_VALUE = object()


def run(request: dict[str, Any], channel: socket.socket, config: dict[str, Any]) -> None:
    """Be the session, until the server closes the channel."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    namespace = main_module(request["scratch"])
    begun(channel)
    while True:
        cell = marshal.loads(read_frame(channel))
        answer = _interruptible(cell, namespace, config["result_bytes"])
        channel.sendall(frame(pack_result(cell["nonce"], answer)))


def _interruptible(cell: dict[str, Any], namespace: dict[str, Any], limit: int) -> Result:
    """A cell's result; an interrupt may come at any moment of it, also while the result is made."""
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            result = _cell(cell["code"], f"<cell {cell['number']}>", namespace)
            if len(result[1] or "") + len(result[3]) > limit:
                result = _failure("output_limit", "OutputLimit", f"the result exceeds {limit} bytes as JSON")
        finally:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
    except KeyboardInterrupt:
        result = _failure("tool_error", "KeyboardInterrupt", "")
    flush()
    return result


def _cell(source: str, name: str, namespace: dict[str, Any]) -> Result:
    remember(name, source)
    try:
        value = _evaluate(source, name, namespace)
        text = "" if value is _NO_VALUE or value is None else repr(value)[:_MAX_TEXT]
        plain = None if value is _NO_VALUE else encode(value)
    except BaseException as error:
        status, _, kind, text = raised(error)
        return _failure(status, kind, text, _shown(error))
    return "ok", plain if plain is not None else "", "" if plain is not None else "none", _note(text=text)


def _evaluate(source: str, name: str, namespace: dict[str, Any]) -> Any:
    """Run all statements; the value of the last one if it is an expression."""
    tree = ast.parse(source, name)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, name, "exec", dont_inherit=True), namespace)
    if not isinstance(last, ast.Expr):
        return _NO_VALUE
    return eval(compile(ast.Expression(last.value), name, "eval", dont_inherit=True), namespace)


def _failure(status: str, kind: str, text: str, trace: str = "") -> Result:
    return status, None, kind, _note(message=text, traceback=trace)


def _note(**texts: str) -> str:
    return json.dumps({name: text.encode("utf-8", "backslashreplace").decode() for name, text in texts.items()})


def _shown(error: BaseException) -> str:
    with contextlib.suppress(BaseException):
        return "".join(traceback.format_exception(error.with_traceback(own(error))))[:_MAX_TEXT]
    return type(error).__name__
