"""A stand-in for the published MENTOR/ReCall sandbox, written for the benchmark: ``exec`` in the server's own process.

As there: FastAPI, one coroutine, no walls, no time limit, standard output redirected, the environment compiled anew for
every call. ``python -m benchmarks.sandbox.exec_server PORT``.
"""

from __future__ import annotations

import contextlib
import io
import sys
from typing import Any

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

app = FastAPI()


class Request(BaseModel):
    """The published request."""

    env: str
    call: str
    timeout: int = 5


@app.post("/execute")
async def execute(request: Request) -> dict[str, Any]:
    """Run ``env``, evaluate ``call``."""
    printed = io.StringIO()
    result: Any = None
    error: str | None = None
    try:
        with contextlib.redirect_stdout(printed):
            namespace: dict[str, Any] = {}
            exec(compile(request.env, "<env>", "exec"), namespace)
            exec(compile(f"response = {request.call}", "<call>", "exec"), namespace)
            result = namespace.get("response")
    except Exception as failure:
        error = str(failure)
    return {"output": printed.getvalue(), "result": result, "error": error}


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")
