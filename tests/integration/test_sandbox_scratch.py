"""Scratch directories and their root: what a call needs, as every kind of user, and what happens when it is taken away."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mentor_sandbox.supervise.files import scratch
from mentor_sandbox.supervise.files.root import MODES, NEW_ROOT, ScratchRoot
from tests.support.service_process import ServiceProcess
from tests.support.users import User, open_folder, users
from tests.support.waiting import eventually

REPAIRS = "mentor_sandbox_scratch_repairs_total"


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with open_folder() as made:
        yield made


@pytest.fixture(scope="module")
def everybody(folder: Path) -> list[User]:
    return users(folder)


@pytest.fixture(scope="module")
def plain(everybody: list[User], folder: Path) -> Iterator[tuple[ServiceProcess, Path]]:
    """The sandbox of a user without rights, and the folder in which its root lies."""
    user = everybody[-1]
    where = user.folder(folder)
    flags = ("--set", f"scratch_root={where}", "--set", "workers=1")
    with user.running("mentor_sandbox", *flags) as service:
        yield service, where


def root_in(where: Path) -> Path:
    (lock,) = where.glob("*/lock")
    return lock.parent


def execute(service: ServiceProcess, env: str, call: str) -> dict[str, Any]:
    answer: dict[str, Any] = service.post("/execute", {"env": env, "call": call, "timeout": 20}).json()
    return answer


def works(service: ServiceProcess) -> bool:
    """Calls of every lane write where they work, and the service says that it is ready."""
    env = "import os\ndef f():\n    open('x', 'w').write('y')\n    return os.listdir()"
    untrusted = execute(service, env, "f()")
    registered = service.post("/v1/execute", {"tool": "add", "arguments": {"firstNumber": 1, "secondNumber": 2}}).json()
    fine = untrusted.get("result") == ["x"] and registered.get("value") == 3
    return fine and service.get("/ready").status_code == 200


def test_a_call_cannot_take_the_root_away(plain: tuple[ServiceProcess, Path]) -> None:
    service, where = plain
    before = service.metric(REPAIRS, how=MODES)
    for attempt in ("os.chmod('..', 0)", "os.unlink('../lock')", "os.chmod(os.path.dirname(os.getcwd()), 0o700)"):
        answer = execute(service, "import os", attempt)
        assert (answer["status"], answer["error_type"]) == ("tool_error", "PermissionError"), answer
    assert root_in(where).stat().st_mode & 0o777 == 0o711
    assert works(service)
    assert service.metric(REPAIRS, how=MODES) == before


def test_a_root_without_its_mode_gets_it_back(plain: tuple[ServiceProcess, Path]) -> None:
    service, where = plain
    root, before = root_in(where), service.metric(REPAIRS, how=MODES)
    root.chmod(0)
    assert works(service)
    assert root.stat().st_mode & 0o777 == 0o711
    assert service.metric(REPAIRS, how=MODES) == before + 1


@pytest.mark.parametrize("gone", ["moved", "a file"])
def test_a_root_that_is_gone_is_replaced_and_nothing_is_left_of_either(
    plain: tuple[ServiceProcess, Path], gone: str
) -> None:
    service, where = plain
    root, before = root_in(where), service.metric(REPAIRS, how=NEW_ROOT)
    away = root.rename(where.parent / f"away-{gone.replace(' ', '-')}")
    if gone == "a file":
        root.write_text("in the way")
    assert works(service)
    assert service.metric(REPAIRS, how=NEW_ROOT) == before + 1
    fresh = root_in(where)
    eventually(lambda: any(path.name.startswith("worker-") for path in fresh.iterdir()), what="a worker works there")
    assert away.exists()
    assert any(record["event"] == "scratch root mended" for record in service.records)


def test_a_session_whose_files_are_gone_has_ended(plain: tuple[ServiceProcess, Path]) -> None:
    service, where = plain
    name = service.post("/v1/sessions", {}).json()["session"]["id"]
    root = root_in(where)
    root.rename(where.parent / "away-with-session")
    assert works(service)
    answer = service.post(f"/v1/sessions/{name}/execute", {"code": "1"})
    assert answer.status_code == 404
    assert "its files are gone" in answer.text


def test_readiness_says_why_nothing_can_be_made_and_that_it_can_again(
    plain: tuple[ServiceProcess, Path],
) -> None:
    service, where = plain
    root = root_in(where)
    root.rename(where.parent / "away-for-long")
    where.chmod(0)
    eventually(lambda: service.get("/ready").status_code == 503, what="not ready")
    assert "cannot make a scratch directory" in str(service.get("/ready").json()["reasons"])
    assert execute(service, "", "1")["error"]["message"].startswith("cannot make a scratch directory")
    where.chmod(0o755)
    eventually(lambda: service.get("/ready").status_code == 200, what="ready again")
    assert works(service)


def test_calls_with_ids_of_their_own_can_enter_or_the_service_is_not_ready(everybody: list[User], folder: Path) -> None:
    user = everybody[0]
    where = user.folder(folder)
    with user.running("mentor_sandbox", "--set", f"scratch_root={where}") as service:
        assert works(service)
        if not service.get("/health").json()["walls"]["uid"].startswith("on"):
            return
        root_in(where).chmod(0)
        eventually(lambda: works(service), what="its mode is back")
        where.chmod(0o700)
        eventually(lambda: service.get("/ready").status_code == 503, what="not ready")
        assert f"calls cannot enter {where}" in service.get("/ready").text
        where.chmod(0o711)
        eventually(lambda: works(service), what="ready again")


HOSTILE_TREE = """
import os
def f():
    os.umask(0)
    for mode in (0, 0o300, 0o500, 0o1777):
        os.mkdir(f'd{mode}', mode)
    os.mkdir('d192/in', 0o300)
    os.mkdir('d192/in/deep', 0)
    open('d192/in/f', 'w').close()
    os.close(os.open('locked', os.O_CREAT | os.O_WRONLY, 0))
    os.symlink('/', 'root')
    os.symlink('d192', 'self')
    for n in range(60):
        os.mkdir('n' * 40)
        os.chdir('n' * 40)
    return 'made'
"""


def test_whatever_a_call_makes_of_its_own_directory_is_removed(everybody: list[User], folder: Path) -> None:
    for user in everybody:
        where = user.folder(folder)
        with user.running("mentor_sandbox", "--set", f"scratch_root={where}") as service:
            answer = execute(service, HOSTILE_TREE, "f()")
            assert answer["result"] == "made", answer
            root = root_in(where)
            eventually(lambda root=root: not list(root.glob("call-*")), what=f"nothing is left ({user.name})")
            service.process.send_signal(signal.SIGTERM)
            service.process.wait(30)
            assert list(where.iterdir()) == []


async def test_a_link_in_the_way_of_unlocking_leads_nowhere(tmp_path: Path) -> None:
    root = ScratchRoot(tmp_path)
    directory = root.new("call", -1)
    kept = tmp_path / "kept" / "inner"
    kept.mkdir(parents=True, mode=0o500)
    (directory / "link").symlink_to(kept.parent)
    scratch._unlock(str(directory / "link" / "inner"), str(directory))
    assert kept.stat().st_mode & 0o777 == 0o500
    (directory / "own").mkdir(mode=0)
    scratch._unlock(str(directory / "own"), str(directory))
    assert (directory / "own").stat().st_mode & 0o777 == 0o700
    root.remove()
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]
