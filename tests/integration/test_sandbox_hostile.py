"""Every hostile case against the sandbox as a process: nothing leaks, persists, escapes or takes it down."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.hostile.cases import CASES
from tests.hostile.ours import LANES, SourceLane
from tests.hostile.suite import Canaries, Outcome, attack
from tests.support.service_process import ServiceProcess, running_process
from tests.support.waiting import eventually

SETTINGS = ("memory_mb=192", "file_mb=4", "scratch_mb=8", "interrupt_grace_s=0.3", "max_queue=512")


@pytest.fixture(scope="module")
def canaries(tmp_path_factory: pytest.TempPathFactory) -> Canaries:
    directory = tmp_path_factory.mktemp("canary")
    made = Canaries(str(directory), os.getpid())
    Path(made.path).write_text(made.file)
    return made


@pytest.fixture(scope="module")
def sandbox(canaries: Canaries, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    scratch = tmp_path_factory.mktemp("scratch")
    env = {
        "HOSTILE_CANARY": canaries.environment,
        "MENTOR_SANDBOX_SCRATCH_ROOT": str(scratch),
        "MENTOR_SANDBOX_WARM": '["core", "scientific"]',
    }
    flags = [part for setting in SETTINGS for part in ("--set", setting)]
    with running_process("mentor_sandbox", *flags, env=env) as service:
        yield service


async def keep_secrets(client: httpx.AsyncClient, canaries: Canaries) -> None:
    """Always one call that has a secret in its memory and in its directory."""
    while True:
        body = {"env": canaries.victim_code(5), "expression": "canary[:6]", "timeout_s": 30}
        answer = await client.post("/v1/execute", json=body)
        assert answer.json()["value_json"] == '"canary"', answer.text


async def run(sandbox: ServiceProcess, lane: type[SourceLane], canaries: Canaries) -> list[Outcome]:
    limits = httpx.Limits(max_connections=None)
    options = {"base_url": sandbox.http, "timeout": 60, "limits": limits, "trust_env": False}
    async with httpx.AsyncClient(**options) as client:  # type: ignore[arg-type]
        victim = asyncio.create_task(keep_secrets(client, canaries))
        known = Canaries(canaries.directory, sandbox.process.pid, canaries.environment, canaries.file, canaries.victim)
        outcomes = await attack(lane(client), CASES, known, concurrency=8)
        assert not victim.done(), "the call that keeps a secret did not survive"
        victim.cancel()
    return outcomes


@pytest.mark.timeout(180)
@pytest.mark.parametrize("lane", LANES, ids=lambda lane: lane.lane)
def test_no_case_gets_anywhere(sandbox: ServiceProcess, canaries: Canaries, lane: type[SourceLane]) -> None:
    outcomes = asyncio.run(run(sandbox, lane, canaries))
    bad = {outcome.case.name: outcome.problems for outcome in outcomes if outcome.problems}
    assert not bad, json.dumps(bad, indent=1)
    assert len(outcomes) >= 150
    assert sandbox.process.poll() is None


def test_nothing_is_left_when_all_is_over(sandbox: ServiceProcess) -> None:
    def calls() -> int:
        zygotes = sandbox.get("/health").json()["zygotes"]
        return sum(member["calls"] for members in zygotes.values() for member in members)

    def kept() -> set[str]:
        (root,) = (path.parent for path in Path(scratch_of(sandbox)).glob("*/lock"))
        return {path.name.split("-")[0] for path in root.iterdir()}

    workers = sum(entry["count"] for entry in sandbox.get("/health").json()["workers"])
    eventually(lambda: calls() <= workers, what="all processes of calls are gone")
    eventually(lambda: kept() <= {"lock", "worker"}, what="all scratch directories are removed")


def scratch_of(sandbox: ServiceProcess) -> str:
    environment = Path(f"/proc/{sandbox.process.pid}/environ").read_text().split("\0")
    return next(line.partition("=")[2] for line in environment if line.startswith("MENTOR_SANDBOX_SCRATCH_ROOT="))
