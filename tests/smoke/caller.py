"""Runs inside a container of the stack: searches and tool calls all the time, each over a connection of its own, until a file
named ``stop`` appears; then prints how many were answered, refused (nobody took them) and lost (taken, and not answered)."""

import json
import threading
import time
from pathlib import Path

import httpx

from mentor.rpc.credentials import secret

TARGETS = {
    "retriever": ("http://retriever:8081/search", {"query": "apple"}),
    "sandbox": ("http://sandbox:5000/execute", {"env": "import time", "call": "time.sleep(0.05) or 1"}),
}
counts = {name: {"answered": 0, "refused": 0, "lost": 0} for name in TARGETS}
headers = {"authorization": f"Bearer {secret('MENTOR_API_KEY')}"}


def outcome(url: str, body: dict[str, str]) -> str:
    try:
        answer = httpx.post(url, json=body, headers=headers, timeout=30, trust_env=False)
        return "answered" if answer.status_code == 200 else "refused"
    except httpx.ConnectError:
        return "refused"
    except httpx.ReadError as error:  # a reset from the listening queue of a socket that was closed: never accepted
        return "refused" if "reset" in str(error).lower() else "lost"
    except httpx.HTTPError:
        return "lost"


def call(name: str) -> None:
    while not Path("/tmp/stop").exists():
        counts[name][outcome(*TARGETS[name])] += 1
        time.sleep(0.02)


threads = [threading.Thread(target=call, args=(name,)) for name in TARGETS for _ in range(2)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(json.dumps(counts))
