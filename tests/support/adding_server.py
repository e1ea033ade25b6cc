"""``python -m tests.support.adding_server PORT LATENCY_S LOG``: a model in a process of its own that adds, by tool if it can.

What it answers depends on the conversation alone, so that a run that was disturbed must end as one that was not. Every request
is a line in the log: how often each question was asked is known afterwards.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
from pathlib import Path
from typing import Any

from aiohttp import web

MODEL = "adder"
_SUM = re.compile(r"What is (\d+) \+ (\d+)\?")


def answer(body: dict[str, Any]) -> dict[str, Any]:
    """The message: a call of ``add``, then what it returned; without tools the sum, wrong where the first number is odd."""
    first = next(m["content"] for m in body["messages"] if m["role"] == "user")
    found = _SUM.search(first)
    if found is None:
        return {"role": "assistant", "content": "\\boxed{2}"}
    a, b = int(found[1]), int(found[2])
    last = body["messages"][-1]
    if last["role"] == "tool":
        wrong = a % 7 == 0
        return {"role": "assistant", "content": f"\\boxed{{{-1 if wrong else last['content']}}}"}
    if not body.get("tools"):
        return {"role": "assistant", "content": f"\\boxed{{{a + b + a % 2}}}"}
    function = {"name": "add", "arguments": json.dumps({"firstNumber": a, "secondNumber": b})}
    return {"role": "assistant", "content": "", "tool_calls": [{"id": "c", "type": "function", "function": function}]}


def serve(port: int, latency_s: float, log: Path) -> None:
    """Serve until killed."""
    lines = log.open("a", buffering=1)

    async def complete(request: web.Request) -> web.Response:
        body = await request.json()
        message = answer(body)
        first = next(m["content"] for m in body["messages"] if m["role"] == "user")
        lines.write(json.dumps([len(body["messages"]), bool(body.get("tools")), first]) + "\n")
        await asyncio.sleep(latency_s)
        choice = {
            "index": 0,
            "message": message,
            "finish_reason": "tool_calls" if message.get("tool_calls") else "stop",
        }
        return web.json_response({"choices": [choice], "usage": {"prompt_tokens": 50, "completion_tokens": 20}})

    async def models(request: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": [{"id": MODEL, "object": "model", "max_model_len": 32768}]})

    app = web.Application()
    app.add_routes([web.post("/v1/chat/completions", complete), web.get("/v1/models", models)])
    web.run_app(app, host="127.0.0.1", port=port, print=None, access_log=None)


if __name__ == "__main__":
    serve(int(sys.argv[1]), float(sys.argv[2]), Path(sys.argv[3]))
