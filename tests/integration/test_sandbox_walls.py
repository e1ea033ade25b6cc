"""Which walls stand, what readiness makes of them, and how lanes share the machine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mentor.errors import ConflictError
from mentor.serving.metrics import new_registry
from mentor.tools import MATH_TOOLS
from mentor_sandbox.results import Call
from mentor_sandbox.settings import SandboxSettings
from mentor_sandbox.supervise.engine import Sandbox
from mentor_sandbox.supervise.files.root import ScratchRoot
from mentor_sandbox.supervise.files.scratch import exceeds, make, remove
from mentor_sandbox.supervise.processes.throttle import Throttle
from mentor_sandbox.supervise.processes.ticker import Ticker
from mentor_sandbox.walls import outer, uids
from mentor_sandbox.walls.standing import standing
from tests.support.service_process import environment

OFF = {"landlock": "unavailable", "uid": "off: none to give", "gvisor": "off"}


def sandbox_with(lane: str | None = None, **walls: str) -> Sandbox:
    settings = SandboxSettings(lane=lane)  # type: ignore[arg-type]
    return Sandbox(settings, MATH_TOOLS, new_registry(), walls={**OFF, **walls})


@pytest.mark.parametrize(
    ("walls", "lane", "isolated_by"),
    [
        ({"landlock": "on (ABI 7)"}, None, "landlock"),
        ({"landlock": "on (ABI 7)", "uid": "on (ids 1 to 2)"}, None, "landlock"),
        ({"uid": "on (ids 200000 to 259999)"}, None, "uid per call"),
        ({"gvisor": "on"}, "untrusted", "pod per lane under gVisor"),
        ({"gvisor": "on"}, None, None),
        ({}, None, None),
        ({}, "registered", None),
    ],
)
def test_readiness_names_what_isolates_calls_and_refuses_where_nothing_does(
    walls: dict[str, str], lane: str | None, isolated_by: str | None
) -> None:
    sandbox = sandbox_with(lane, **walls)
    reason = sandbox.ready()
    assert sandbox.health()["isolation"] == isolated_by
    if isolated_by is None:
        assert reason is not None
        assert "not isolated" in reason
    else:
        assert reason is None or "not isolated" not in reason


async def test_a_service_of_one_lane_refuses_the_others() -> None:
    sandbox = sandbox_with("registered", landlock="on")
    with pytest.raises(ConflictError, match="serves the lane 'registered'"):
        await sandbox.call(Call(source="", expression="1"))


def test_user_ids_are_given_only_where_they_can_be(tmp_path: Path) -> None:
    assert uids.state(None, []) == "off: switched off"
    if os.geteuid() != 0:
        assert uids.state((200_000, 10), []).startswith("off: the service has no user ids")
        return
    closed = tmp_path / "closed" / "lib"
    closed.mkdir(parents=True)
    closed.parent.chmod(0o700)
    assert "cannot enter" in uids.state((200_000, 10), [str(closed)])
    assert "do not exist" in uids.state((2**32 - 5, 10), [])


def test_cgroup_limits_are_told(tmp_path: Path) -> None:
    assert outer.cgroup_limits(tmp_path) == "off: no limits"
    (tmp_path / "memory.max").write_text("1073741824\n")
    (tmp_path / "cpu.max").write_text("max 100000\n")
    assert outer.cgroup_limits(tmp_path) == "on (memory 1073741824)"


def test_every_wall_is_told_on_this_machine() -> None:
    found = standing()
    inner = {"process", "session", "rlimits", "landlock", "seccomp", "no_new_privs", "capabilities", "scratch", "uid"}
    assert inner <= found.keys()
    assert {"user_namespace", "pid_namespace", "net_namespace", "cgroup", "gvisor"} <= found.keys()


TRUNCATION = """
import os, socket, sys
from mentor_sandbox.walls import libc, seccomp
libc.prctl(libc.PR_SET_NO_NEW_PRIVS, 1)
seccomp.install(seccomp.common(network=False, landlock_version=int(sys.argv[1])))
path = sys.argv[2]
for name, attempt in (
    ("truncate", lambda: os.truncate(path, 1)),
    ("read only", lambda: os.close(os.open(path, os.O_RDONLY | os.O_TRUNC))),
    ("written", lambda: open(path, "w").close()),
    ("ftruncate", lambda: open(path, "r+").truncate(1)),
    ("read", lambda: open(path).close()),
):
    try:
        attempt()
        print(name, end=";")
    except OSError as error:
        print(name, error.errno, end=";")
"""


@pytest.mark.parametrize(
    ("version", "said"),
    [(2, "truncate 1;read only 1;written;ftruncate;read;"), (3, "truncate;read only;written;ftruncate;read;")],
)
def test_where_landlock_does_not_govern_truncation_only_what_is_open_for_writing_is_cut(
    version: int, said: str, tmp_path: Path
) -> None:
    path = tmp_path / "file"
    path.write_text("content")
    command = [sys.executable, "-c", TRUNCATION, str(version), str(path)]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=True)
    assert done.stdout == said


class Recorded:
    """A process that remembers what it was told."""

    def __init__(self) -> None:
        self.running = True

    def signal(self, number: signal.Signals) -> None:
        self.running = number == signal.SIGCONT


async def test_long_computations_leave_half_the_cores_to_short_calls_and_take_turns() -> None:
    throttle = Throttle(Ticker(), cores=4)
    long = [Recorded() for _ in range(6)]
    for process in long:
        throttle.add(process)
    throttle.short_seen(100.0)
    throttle.tick(100.0)
    first = [process for process in long if process.running]
    throttle.short_seen(101.0)
    throttle.tick(101.0)
    second = [process for process in long if process.running]
    throttle.tick(200.0)
    alone = [process for process in long if process.running]
    assert (len(first), len(second), len(alone)) == (2, 2, 4)
    assert set(first) != set(second)
    stopped = next(process for process in long if not process.running)
    throttle.discard(stopped)
    assert stopped.running


async def test_scratch_of_any_depth_is_measured_and_removed_and_links_are_not_followed(tmp_path: Path) -> None:
    root = ScratchRoot(tmp_path)
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_text("x")
    directory = root.path / "call"
    make(directory, -1)
    inner = os.open(directory, os.O_RDONLY)
    for _ in range(1500):
        os.mkdir("d" * 20, dir_fd=inner)
        deeper = os.open("d" * 20, os.O_RDONLY, dir_fd=inner)
        os.close(inner)
        inner = deeper
    os.symlink(outside, "link", dir_fd=inner)
    os.close(inner)
    assert exceeds(directory, 2**40)
    await remove(directory)
    assert not directory.exists()
    assert (outside / "kept").exists()
    root.remove()
    assert not root.path.exists()
