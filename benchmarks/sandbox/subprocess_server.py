"""A stand-in for the usual simple sandbox, written for the benchmark: ``python -I`` for every call, behind FastAPI.

No walls but the process boundary and a time limit. ``python -m benchmarks.sandbox.subprocess_server PORT [-S]``: with ``-S``
the interpreter does not import ``site``, so that it starts as fast as it can, and has no packages.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

app = FastAPI()
_RUN = """
import json, sys
request = json.load(sys.stdin)
namespace = {}
exec(request["env"], namespace)
print(json.dumps(eval(request["call"], namespace)))
"""


class Request(BaseModel):
    """The published request."""

    env: str
    call: str
    timeout: int = 5


@app.post("/execute")
async def execute(request: Request) -> dict[str, Any]:
    """Run ``env``, evaluate ``call``, in a fresh interpreter."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-I", *sys.argv[2:], "-c", _RUN, stdin=pipe, stdout=pipe, stderr=pipe
    )
    body = json.dumps({"env": request.env, "call": request.call}).encode()
    try:
        async with asyncio.timeout(request.timeout):
            out, err = await process.communicate(body)
    except TimeoutError:
        process.kill()
        await process.wait()
        return {"output": "", "result": None, "error": "timeout"}
    failed = process.returncode != 0
    return {"output": "", "result": None if failed else json.loads(out), "error": err.decode() if failed else None}


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")
