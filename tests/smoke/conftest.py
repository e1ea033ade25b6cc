"""One stack for all smoke tests: built, brought up, and taken down so that nothing is left."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.smoke.docker import ROOT, Docker, Stack, build_everything, can_have_docker, daemon
from tests.support.waiting import eventually


@pytest.fixture(scope="session")
def docker() -> Iterator[Docker]:
    reason = can_have_docker()
    if reason:
        pytest.skip(reason)
    with daemon() as found:
        yield found


@pytest.fixture(scope="session")
def figures() -> Iterator[dict[str, Any]]:
    """Sizes and times, printed at the end and written to runs/compose-smoke.json."""
    found: dict[str, Any] = {}
    yield found
    (ROOT / "runs").mkdir(exist_ok=True)
    (ROOT / "runs" / "compose-smoke.json").write_text(json.dumps(found, indent=1) + "\n")
    print("\n" + json.dumps(found, indent=1))


@pytest.fixture(scope="session")
def stack(docker: Docker, figures: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    started = time.monotonic()
    build_everything(docker)
    figures["build_s"] = round(time.monotonic() - started, 1)
    subprocess.run(["bash", "deploy/secrets.sh"], cwd=ROOT, check=True)
    made = Stack(docker, tmp_path_factory.mktemp("smoke"))
    started = time.monotonic()
    try:
        made.compose("up", "-d", "--no-build", timeout=600)
        eventually(lambda: all_healthy(made), 240, what="every container to be healthy")
        figures["up_to_healthy_s"] = round(time.monotonic() - started, 1)
        eventually(lambda: not targets_down(), 60, what="every target to be scraped")
        yield made
    finally:
        (ROOT / "runs").mkdir(exist_ok=True)
        Path(ROOT, "runs", "compose-smoke.log").write_text(
            made.compose("logs", "--no-color", "--tail", "2000", check=False)
        )
        made.down()


def all_healthy(stack: Stack) -> bool:
    """Every container runs, and those with a health check pass it."""
    states = [facts["State"] for facts in stack.containers().values()]
    return bool(states) and all(
        s["Running"] and s.get("Health", {"Status": "healthy"})["Status"] == "healthy" for s in states
    )


def targets_down() -> list[str]:
    """Scrape targets that are not up."""
    import httpx

    try:
        found = httpx.get("http://127.0.0.1:9090/api/v1/targets", trust_env=False).json()["data"]["activeTargets"]
    except httpx.HTTPError:
        return ["prometheus"]
    return [t["labels"]["service"] for t in found if t["health"] != "up"] or ([] if found else ["none"])
