"""A stand-in for a server of registered tools without walls, written for the benchmark: tools by name, in its own process.

It compiles every tool once, at its start, and takes one call (``/call``) or many (``/batch``). No process boundary, no time
limit, no check of arguments. ``python -m benchmarks.sandbox.named_server PORT``.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

from mentor.tools import MATH_TOOLS

app = FastAPI()


def _compiled() -> dict[str, Callable[..., Any]]:
    found = {}
    for tool in MATH_TOOLS:
        namespace: dict[str, Any] = {}
        exec(compile(tool.source or "", tool.name, "exec"), namespace)
        found[tool.name] = namespace[tool.name]
    return found


TOOLS = _compiled()


class Named(BaseModel):
    """A call of a tool that is there."""

    tool: str
    arguments: dict[str, Any]


class Batch(BaseModel):
    """Calls."""

    calls: list[Named]


def _result(call: Named) -> dict[str, Any]:
    try:
        return {"value": TOOLS[call.tool](**call.arguments), "error": None}
    except Exception as failure:
        return {"value": None, "error": str(failure)}


@app.post("/call")
async def call(named: Named) -> dict[str, Any]:
    """One call."""
    return _result(named)


@app.post("/batch")
async def batch(many: Batch) -> dict[str, Any]:
    """Many, one after the other."""
    return {"results": [_result(named) for named in many.calls]}


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")
