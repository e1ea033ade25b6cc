"""A teacher under kill -9 of everything: `make teacher-kills`. Beside the gate: it takes well over half an hour.

2,000 questions; worker, service, Redis, sandbox and model server are killed one after another at random moments until the job
is through. The data set must hold every question once, as if nothing had happened, and no more may be generated again
than was in flight.
"""

from __future__ import annotations

import json
import os
import random
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.adding_server import MODEL
from tests.support.chaos import Deployment

QUESTIONS = int(os.environ.get("MENTOR_KILLS_QUESTIONS", "2000"))
ROUNDS = int(os.environ.get("MENTOR_KILLS_ROUNDS", "20"))
FIRST = int(os.environ.get("MENTOR_KILLS_FIRST", "0"))
IN_FLIGHT = 32


@pytest.fixture
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    made = Deployment(tmp_path_factory.mktemp("kills"), "teacher", ("mentor_teacher.jobs:TeacherJob",), latency_s=0.25)
    yield made
    made.close()


def fetched(deployment: Deployment, job: str, name: str) -> list[dict[str, object]]:
    url = deployment.url("service") + f"/v1/jobs/{job}/artifacts/{name}"
    answer = httpx.get(url, trust_env=False, timeout=60)
    assert answer.status_code == 200, answer.text
    return [json.loads(line) for line in answer.text.splitlines()]


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("seed", range(FIRST, FIRST + ROUNDS))
def test_a_data_set_is_whole_whatever_was_killed(deployment: Deployment, seed: int, tmp_path: Path) -> None:
    began = time.monotonic()
    file = tmp_path / "sums.jsonl"
    rows = (
        {"id": f"s{n}", "question": f"What is {n} + {n + 1}?", "answers": [str(2 * n + 1)]} for n in range(QUESTIONS)
    )
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    spec = {
        "model": {"url": deployment.url("model"), "name": MODEL}, "questions": str(file), "concurrency": IN_FLIGHT,
        "sampling": {"max_tokens": 64, "seed": 0},
    }  # fmt: skip
    job = deployment.call("POST", "/v1/jobs", json={"spec": spec, "idempotency_key": "one"})["id"]

    def state() -> str:
        return str(deployment.call("GET", f"/v1/jobs/{job}")["state"])

    deployment.disturb(lambda: state() in ("succeeded", "failed", "cancelled"), random.Random(seed), (1.0, 6.0))
    ended = deployment.call("GET", f"/v1/jobs/{job}")
    assert ended["state"] == "succeeded", {name: ended[name] for name in ("state", "error", "message", "attempt")}
    every = [f"s{n}" for n in range(QUESTIONS)]
    # What the model answers is known: wrong where 7 divides the first number.
    right = [f"s{n}" for n in range(QUESTIONS) if n % 7]
    drawn = fetched(deployment, job, "trajectories.jsonl")
    assert [row["question_id"] for row in drawn] == every
    assert [row["id"] for row in fetched(deployment, job, "references.jsonl")] == right
    asked = Counter(line for line in deployment.model_log.read_text().splitlines() if "What is 1 + 1?" not in line)
    again = sum(count - 1 for count in asked.values())
    kills = dict(Counter(deployment.kills))
    print(
        f"\nseed {seed}: {len(deployment.kills)} kills {kills}, {again} requests made again, {time.monotonic() - began:.0f} s"
    )
    assert len(set(deployment.kills)) == 5, "too quick a run: more questions"
    # Each kill costs at most what was in flight: a trajectory of two turns in each slot.
    assert again <= len(deployment.kills) * 2 * IN_FLIGHT
