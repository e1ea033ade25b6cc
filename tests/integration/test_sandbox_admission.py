"""Calls, programs and sessions pass one door: what is counted, refused and limited there is so for all of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from mentor.errors import ConflictError, OverloadedError, UserError
from mentor.serving.metrics import new_registry
from mentor_sandbox.results import Call
from mentor_sandbox.settings import SandboxSettings
from mentor_sandbox.supervise.engine import Sandbox
from mentor_sandbox.supervise.programs import Program, Programs
from mentor_sandbox.supervise.sessions import Sessions

SLEEP = "__import__('time').sleep(60)"


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("kind", ["call", "program"])
async def test_a_caller_that_goes_away_is_not_counted_as_a_failure_of_ours(kind: str) -> None:
    registry = new_registry()
    sandbox = Sandbox(SandboxSettings(workers=1, zygotes=1, lane="untrusted"), [], registry)
    async with sandbox.lifespan():
        call = Call(source="", expression=SLEEP)
        work = sandbox.call(call) if kind == "call" else Programs(sandbox).run(Program(SLEEP))
        task = asyncio.create_task(work)
        await until(lambda: sandbox.untrusted.running == 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await until(lambda: sandbox.untrusted.running == 0)
    counted = [s for family in registry.collect() for s in family.samples if s.name == "mentor_sandbox_calls_total"]
    assert [sample.labels for sample in counted if sample.labels["status"] == "infrastructure"] == []


async def test_one_door_refuses_the_same_things_of_all() -> None:
    settings = SandboxSettings(lane="registered", max_sessions=0)
    elsewhere = Sandbox(settings, [], new_registry())
    for refused in (
        elsewhere.call(Call(source="", expression="1")),
        Programs(elsewhere).run(Program("1")),
        Sessions(elsewhere, new_registry()).create({}),
    ):
        with pytest.raises(ConflictError, match="serves the lane 'registered'"):
            await refused
    registry = new_registry()
    here = Sandbox(SandboxSettings(max_sessions=0), [], registry)
    sessions = Sessions(here, registry)
    late = r"a time limit lies between 0 and 300 s, got 301"
    for refused in (
        here.call(Call(source="", expression="1", timeout_s=301)),
        Programs(here).run(Program("1", timeout_s=301)),
        sessions.execute("any", "1", 301),
    ):
        with pytest.raises(UserError, match=late):
            await refused
    with pytest.raises(OverloadedError, match="0 sessions are open"):
        await sessions.create({})
    assert registry.get_sample_value("mentor_sandbox_refused_total") == 1
