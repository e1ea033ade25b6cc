"""Every hostile case against the sandbox as a process, as root and as a user without rights: nothing leaks, persists,
escapes or takes it down."""

from __future__ import annotations

import asyncio
import json
import os
import platform
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.hostile.cases import CASES, COUNTS
from tests.hostile.ours import LANES, SourceLane, client_of
from tests.hostile.suite import Canaries, Outcome, attack
from tests.support.service_process import ServiceProcess
from tests.support.users import open_folder, users
from tests.support.waiting import eventually

SETTINGS = ("memory_mb=192", "file_mb=4", "scratch_mb=8", "interrupt_grace_s=0.3", "max_queue=512")
USERS = ("root", "plain user") if os.geteuid() == 0 else ("plain user",)


@dataclass(frozen=True)
class Attacked:
    """A running sandbox, its scratch folder, and what must not leak."""

    service: ServiceProcess
    scratch: Path
    canaries: Canaries


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with open_folder() as made:
        yield made


@pytest.fixture(scope="module", params=USERS)
def sandbox(request: pytest.FixtureRequest, folder: Path) -> Iterator[Attacked]:
    """Secrets lie in files of the service's own user: what keeps a call from them are the walls, not the mode."""
    (user,) = (user for user in users(user_folder(folder, request.param)) if user.name == request.param)
    directory, scratch = user.folder(folder), user.folder(folder)
    canaries = Canaries(str(directory), os.getpid())
    Path(canaries.path).write_text(canaries.file)
    os.chown(canaries.path, directory.stat().st_uid, -1)
    env = {
        "HOSTILE_CANARY": canaries.environment,
        "MENTOR_SANDBOX_SCRATCH_ROOT": str(scratch),
        "MENTOR_SANDBOX_WARM": '["core", "scientific"]',
    }
    flags = [part for setting in SETTINGS for part in ("--set", setting)]
    with user.running("mentor_sandbox", *flags, env=env) as service:
        known = Canaries(str(directory), service.process.pid, canaries.environment, canaries.file, canaries.victim)
        yield Attacked(service, scratch, known)


def user_folder(folder: Path, name: str) -> Path:
    made = folder / name.replace(" ", "-")
    made.mkdir()
    made.chmod(0o755)
    return made


async def keep_secrets(client: httpx.AsyncClient, canaries: Canaries) -> None:
    """Always one call that has a secret in its memory and in its directory."""
    while True:
        body = {"env": canaries.victim_code(5), "expression": "canary[:6]", "timeout_s": 30}
        answer = await client.post("/v1/execute", json=body)
        assert answer.json()["value_json"] == '"canary"', answer.text


async def run(attacked: Attacked, lane: type[SourceLane]) -> list[Outcome]:
    async with client_of(attacked.service.http) as client:
        victim = asyncio.create_task(keep_secrets(client, attacked.canaries))
        outcomes = await attack(lane(client), CASES, attacked.canaries, concurrency=8)
        assert not victim.done(), "the call that keeps a secret did not survive"
        victim.cancel()
    return outcomes


@pytest.mark.skipif(
    platform.machine() != "x86_64", reason="other architectures lack some system calls, and their cases"
)
def test_no_case_has_gone_missing() -> None:
    assert Counter(case.klass for case in CASES) == COUNTS


@pytest.mark.timeout(300)
@pytest.mark.parametrize("lane", LANES, ids=lambda lane: lane.lane)
def test_no_case_gets_anywhere(sandbox: Attacked, lane: type[SourceLane]) -> None:
    outcomes = asyncio.run(run(sandbox, lane))
    bad = {outcome.case.name: outcome.problems for outcome in outcomes if outcome.problems}
    assert not bad, json.dumps(bad, indent=1)
    tried = Counter(outcome.case.name for outcome in outcomes)
    assert tried == Counter(case.name for case in CASES if lane.lane == "source" or case.request is None)
    assert sandbox.service.process.poll() is None
    assert sandbox.service.get("/ready").status_code == 200


def test_nothing_is_left_when_all_is_over(sandbox: Attacked) -> None:
    def calls() -> int:
        zygotes = sandbox.service.get("/health").json()["zygotes"]
        return sum(member["calls"] for members in zygotes.values() for member in members)

    def kept() -> set[str]:
        (root,) = (path.parent for path in sandbox.scratch.glob("*/lock"))
        return {path.name.split("-")[0] for path in root.iterdir()}

    workers = sum(entry["count"] for entry in sandbox.service.get("/health").json()["workers"])
    eventually(lambda: calls() <= workers, what="all processes of calls are gone")
    eventually(lambda: kept() <= {"lock", "worker"}, what="all scratch directories are removed")
    assert sandbox.service.metric("mentor_sandbox_scratch_repairs_total", how="modes") == 0
    assert sandbox.service.metric("mentor_sandbox_scratch_repairs_total", how="new_root") == 0
