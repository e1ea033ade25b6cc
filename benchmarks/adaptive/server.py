"""A model server that bears a known number of requests at once: ``python -m benchmarks.adaptive.server KIND PLACES SECONDS``.

Beyond its places it lets requests wait (``queues``), refuses them with 429 (``refuses``), or serves all of them more slowly
(``slows``: throughput is best at PLACES, and falls beyond). Latencies are log-normal around SECONDS. Prints its port;
``/ended`` tells how many requests of each client (``x-client``) it has served.
"""

from __future__ import annotations

import asyncio
import json
import math
import random
import sys
from collections import Counter

from aiohttp import web

MODEL = "bounded"
SIGMA = 0.2


class Bounded:
    """The server's state."""

    def __init__(self, kind: str, places: int, seconds: float) -> None:
        self.kind, self.places, self.seconds = kind, places, seconds
        self.running = 0
        self.ended: Counter[str] = Counter()
        self._queue = asyncio.Semaphore(places)
        self._rng = random.Random(0)

    async def complete(self, request: web.Request) -> web.Response:
        await request.read()
        if self.kind == "refuses" and self.running >= self.places:
            return web.json_response({"error": {"message": "too many requests", "code": 429}}, status=429)
        self.running += 1
        try:
            await self._serve()
        finally:
            self.running -= 1
        self.ended[request.headers.get("x-client", "ours")] += 1
        message = {"role": "assistant", "content": "\\boxed{1}"}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        return web.json_response({"choices": [choice], "usage": {"prompt_tokens": 20, "completion_tokens": 10}})

    async def _serve(self) -> None:
        seconds = self.seconds * math.exp(self._rng.gauss(0.0, SIGMA))
        if self.kind == "queues":
            async with self._queue:
                await asyncio.sleep(seconds)
        elif self.kind == "slows":
            await asyncio.sleep(seconds * (1 + (self.running / self.places) ** 2))
        else:
            await asyncio.sleep(seconds)


def main() -> None:
    """Serve until killed."""
    bounded = Bounded(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))

    async def models(request: web.Request) -> web.Response:
        return web.json_response({"data": [{"id": MODEL, "object": "model"}]})

    async def ended(request: web.Request) -> web.Response:
        return web.json_response(bounded.ended)

    async def serve() -> None:
        app = web.Application()
        app.add_routes([web.post("/v1/chat/completions", bounded.complete), web.get("/v1/models", models)])
        app.add_routes([web.get("/ended", ended)])
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0, backlog=4096)
        await site.start()
        print(json.dumps(runner.addresses[0][1]), flush=True)
        await asyncio.Event().wait()

    asyncio.run(serve())


if __name__ == "__main__":
    main()
