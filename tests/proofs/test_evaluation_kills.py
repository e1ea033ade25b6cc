"""Evaluations under kill -9 of everything: `make eval-kills`. Beside the gate: it takes minutes.

1,000 questions with and without tools; worker, service, Redis, sandbox and model server are killed one after another at random
moments until the run is through. Its results must be those of an undisturbed run, with every sample once.
"""

from __future__ import annotations

import json
import os
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.adding_server import MODEL
from tests.support.chaos import Deployment

QUESTIONS = int(os.environ.get("MENTOR_KILLS_QUESTIONS", "1000"))
ROUNDS = int(os.environ.get("MENTOR_KILLS_ROUNDS", "2"))
IN_FLIGHT = 16
HANDLERS = ("mentor_evaluator.jobs:EvaluateJob", "mentor_evaluator.matrix.job:EvaluationJob")


@pytest.fixture
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    made = Deployment(tmp_path_factory.mktemp("kills"), "evaluator", HANDLERS, latency_s=0.25)
    yield made
    made.close()


def evaluate(deployment: Deployment, file: Path) -> str:
    own = {"name": "sums", "file": str(file), "tools": ["add", "multiply"]}
    spec = {
        "models": [{"name": "adder", "model": {"url": deployment.url("model"), "name": MODEL}}],
        "own": [own], "tools": "both", "concurrency": IN_FLIGHT, "sampling": {"max_tokens": 64, "seed": 0},
    }  # fmt: skip
    return str(deployment.call("POST", "/v1/evaluations", json=spec, headers={"idempotency-key": "one"})["id"])


def figures(results: dict[str, Any]) -> dict[str, Any]:
    """What must not depend on what happened underway: everything but times."""
    kept = json.loads(json.dumps(results))
    for cell in kept["cells"].values():
        for name in [name for name in cell if "latency" in name or "second" in name or "duration" in name]:
            del cell[name]
    return kept


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("seed", range(ROUNDS))
def test_a_run_of_which_everything_was_killed_ends_as_one_left_alone(
    deployment: Deployment, seed: int, tmp_path: Path
) -> None:
    file = tmp_path / "sums.jsonl"
    rows = ({"id": f"s{n}", "question": f"What is {n} + {n + 1}?", "answer": 2 * n + 1} for n in range(QUESTIONS))
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    job = evaluate(deployment, file)

    def state() -> str:
        return str(deployment.call("GET", f"/v1/evaluations/{job}")["state"])

    deployment.disturb(lambda: state() in ("succeeded", "failed", "cancelled"), random.Random(seed), (1.0, 6.0))
    assert state() == "succeeded", deployment.call("GET", f"/v1/evaluations/{job}")
    results = deployment.call("GET", f"/v1/evaluations/{job}/results")
    cells = results["cells"]
    # What the model answers is known: with tools wrong where 7 divides the first number, without where it is odd.
    assert cells["adder/sums/tools"]["accuracy"]["mean"] == pytest.approx(1 - len(range(0, QUESTIONS, 7)) / QUESTIONS)
    assert cells["adder/sums/no-tools"]["accuracy"]["mean"] == pytest.approx(len(range(0, QUESTIONS, 2)) / QUESTIONS)
    for cell in cells.values():
        assert (cell["trajectories"], cell["infrastructure_failures"]) == (QUESTIONS, 0)
    page = deployment.call("GET", f"/v1/evaluations/{job}/samples", params={"page_size": 1})
    assert page["total"] == 2 * QUESTIONS
    asked = Counter(deployment.model_log.read_text().splitlines())
    again = sum(count - 1 for count in asked.values())
    print(
        f"\nseed {seed}: {len(deployment.kills)} kills {dict(Counter(deployment.kills))}, {again} requests made again"
    )
    assert len(set(deployment.kills)) == 5, "too quick a run: more questions"
    # Each kill costs at most what was in flight, two turns of it, plus the probe.
    assert again <= len(deployment.kills) * (2 * IN_FLIGHT + 1)
