"""Sessions as clients live with them: state, isolation, interrupts, death, expiry, and a bounded number."""

from __future__ import annotations

import base64
import contextlib
import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.service_process import ServiceProcess, running_process
from tests.support.waiting import eventually

MOST = 6
SETTINGS = (f"max_sessions={MOST}", "interrupt_grace_s=0.3", "scratch_mb=8", "memory_mb=256")


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    env = {"MENTOR_SANDBOX_SCRATCH_ROOT": str(tmp_path_factory.mktemp("scratch"))}
    flags = [part for setting in SETTINGS for part in ("--set", setting)]
    with running_process("mentor_sandbox", *flags, env=env) as service:
        yield service


class Client:
    """One session."""

    def __init__(self, sandbox: ServiceProcess, **options: Any) -> None:
        self._sandbox = sandbox
        response = sandbox.post("/v1/sessions", options)
        assert response.status_code == 200, response.text
        self.id = response.json()["session"]["id"]

    def run(self, code: str, **options: Any) -> dict[str, Any]:
        response = self.try_run(code, **options)
        assert response.status_code == 200, response.text
        result: dict[str, Any] = response.json()["result"]
        return result

    def try_run(self, code: str, **options: Any) -> httpx.Response:
        return self._sandbox.post(f"/v1/sessions/{self.id}/execute", {"code": code, **options})

    def close(self) -> None:
        httpx.delete(f"{self._sandbox.http}/v1/sessions/{self.id}", trust_env=False)


@pytest.fixture
def session(sandbox: ServiceProcess) -> Iterator[Client]:
    client = Client(sandbox)
    yield client
    client.close()


FIRST = "import time\nopen('begun', 'w').close()\nwhile not os.path.exists('go'): time.sleep(0.01)"


def test_a_cell_that_stops_itself_stays_stopped_however_late_the_signals_of_the_last_one_come(
    sandbox: ServiceProcess, session: Client
) -> None:
    pid = session.run("import os\nos.getpid()")["value"]
    zygote = int(Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()[1])
    state = lambda: Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]  # noqa: E731
    eventually(lambda: state() == "T", what="it is stopped between cells")
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(
            session.run, "import time\nopen('begun', 'w').close()\nwhile not os.path.exists('go'): time.sleep(0.01)"
        )
        begun = Path(f"/proc/{pid}/cwd")
        eventually((begun / "begun").exists, what="the first cell runs")
        os.kill(zygote, signal.SIGSTOP)
        try:
            (begun / "go").touch()
            first.result(30)
            second = pool.submit(session.run, "import signal\nos.kill(os.getpid(), signal.SIGSTOP)", timeout_s=0.5)
            with contextlib.suppress(AssertionError):
                eventually(lambda: state() == "T", within=0.5, what="the second cell ran before it should")
        finally:
            os.kill(zygote, signal.SIGCONT)
        assert second.result(30)["status"] == "timeout"


def test_a_session_keeps_variables_imports_and_files(session: Client) -> None:
    session.run("import math\ndef f(x): return math.sqrt(x)\nopen('kept', 'w').write('k')")
    assert session.run("f(16), open('kept').read()")["value"] == [4.0, "k"]
    assert session.run("from dataclasses import dataclass\n@dataclass\nclass P: x: int\nP(1)")["text"] == "P(x=1)"
    assert session.run("import pickle; pickle.loads(pickle.dumps(P(2))).x")["value"] == 2


def test_a_session_survives_an_error_and_shows_where_it_was(session: Client) -> None:
    session.run("x = 1\ndef g():\n    raise KeyError('gone')")
    failed = session.run("x += 1\ng()")
    assert (failed["status"], failed["error_type"]) == ("tool_error", "KeyError")
    assert failed["traceback"].splitlines()[1:3] == ['  File "<cell 2>", line 2, in <module>', "    g()"]
    assert session.run("sys" if False else "x")["value"] == 2


@pytest.mark.parametrize("code", ["import sys\nsys.exit(1)", "raise SystemExit", "x = (", "x = bytearray(10**10)"])
def test_a_session_survives_what_would_end_a_program(session: Client, code: str) -> None:
    session.run("kept = 1")
    assert session.run(code)["status"] in ("tool_error", "memory")
    assert session.run("kept")["value"] == 1


@pytest.mark.parametrize(
    "code", ["while True: pass", "import time\ntime.sleep(60)", "input_ = [i for i in iter(int, 1)]"]
)
def test_a_late_cell_is_interrupted_and_the_session_lives(session: Client, code: str) -> None:
    session.run("kept = 1")
    late = session.run(code, timeout_s=0.3)
    assert (late["status"], late["session_ended"]) == ("timeout", False)
    assert session.run("kept")["value"] == 1


def test_a_cell_that_ignores_the_interrupt_takes_the_session_with_it(session: Client, sandbox: ServiceProcess) -> None:
    killed = sandbox.metric("mentor_sandbox_sessions_ended_total", reason="killed")
    code = "print('before')\nwhile True:\n  try:\n    while True: sum(range(100))\n  except BaseException: pass"
    late = session.run(code, timeout_s=0.3)
    assert (late["status"], late["session_ended"], late["stdout"]) == ("timeout", True, "before\n")
    gone = session.try_run("1")
    assert gone.status_code == 404
    assert "has ended: the cell did not end when it was interrupted" in gone.json()["error"]["message"]
    assert sandbox.metric("mentor_sandbox_sessions_ended_total", reason="killed") == killed + 1


@pytest.mark.parametrize(
    ("code", "error_type"),
    [
        ("import os\nos._exit(0)", "Exited"),
        ("import os\nos.kill(os.getpid(), 9)", "SIGKILL"),
        ("import ctypes\nctypes.string_at(0)", "SIGSEGV"),
        ("import os\nos.write(3, b'x' * 100)", "ForgedResult"),
    ],
)
def test_a_session_that_dies_says_so(session: Client, code: str, error_type: str) -> None:
    result = session.run(code)
    assert (result["status"], result["error_type"], result["session_ended"]) == ("killed", error_type, True)
    assert session.try_run("1").status_code == 404


def test_too_many_files_end_a_session(session: Client) -> None:
    code = "import time\nfor n in range(20): open(str(n), 'wb').write(b'x' * 10**6)\ntime.sleep(2)"
    result = session.run(code)
    assert (result["status"], result["error_type"], result["session_ended"]) == ("output_limit", "ScratchLimit", True)


def test_output_is_of_its_cell_and_bounded(session: Client) -> None:
    assert session.run("print('x' * 3_000_000)")["stdout_truncated"] is True
    assert session.run("print('short')")["stdout"] == "short\n"
    assert session.run("while True: print('x' * 10**6)")["status"] == "output_limit"
    assert session.run("print('y')")["stdout"] == "y\n"


def test_sessions_share_nothing(sandbox: ServiceProcess) -> None:
    one, other = Client(sandbox), Client(sandbox)
    one.run("secret = 1\nimport builtins, json\nbuiltins.leak = 1\njson.leak = 1\nopen('f', 'w').write('s')")
    assert other.run("secret")["error_type"] == "NameError"
    assert other.run("import builtins, json, os\nhasattr(builtins, 'leak'), hasattr(json, 'leak'), os.listdir()")[
        "value"
    ] == [False, False, []]
    directory = one.run("import os; os.getcwd()")["value"]
    assert other.run(f"import os; os.listdir({directory!r})")["error_type"] == "PermissionError"
    one.close()
    other.close()


def test_threads_of_a_session_stand_still_between_cells(session: Client) -> None:
    session.run(
        "import threading\nn = 0\ndef f():\n  global n\n  while True: n += 1\nthreading.Thread(target=f, daemon=True).start()"
    )
    pid = session.run("import os; os.getpid()")["value"]
    stat = Path(f"/proc/{pid}/stat")
    eventually(lambda: stat.read_text().rpartition(")")[2].split()[0] == "T", what="the process is stopped")


def test_cells_of_one_session_take_turns(session: Client) -> None:
    session.run("order = []")
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda n: session.run(f"order.append({n})\norder.append({n})"), range(4)))
    order = session.run("order")["value"]
    assert order[::2] == order[1::2]


def test_the_number_of_sessions_is_bounded(sandbox: ServiceProcess) -> None:
    open_ones = [Client(sandbox) for _ in range(MOST - sandbox.get("/v1/sessions").json()["open"])]
    refused = sandbox.post("/v1/sessions", {})
    assert (refused.status_code, "retry-after" in refused.headers) == (429, True)
    assert sandbox.metric("mentor_sandbox_sessions") == MOST
    for client in open_ones:
        client.close()
    Client(sandbox).close()


def test_an_unused_session_expires(sandbox: ServiceProcess) -> None:
    client = Client(sandbox, idle_timeout_s=0.2)
    eventually(lambda: client.try_run("1").status_code == 404 or None, every=1.0, what="it has expired")
    assert "was not used" in client.try_run("1").json()["error"]["message"]
    assert sandbox.metric("mentor_sandbox_sessions_ended_total", reason="expired") >= 1


def test_a_snapshot_moves_files_from_one_session_to_another(sandbox: ServiceProcess) -> None:
    one = Client(sandbox, files={"in/a": base64.b64encode(b"A").decode()})
    one.run(
        "import os\nos.mkdir('deep')\nopen('deep/b', 'wb').write(bytes(range(256)))\nos.symlink('/etc/passwd', 'l')"
    )
    snapshot = sandbox.get(f"/v1/sessions/{one.id}/snapshot").json()["files"]
    assert sorted(snapshot) == ["deep/b", "in/a"]
    other = Client(sandbox)
    restored = sandbox.post(f"/v1/sessions/{other.id}/restore", {"files": snapshot})
    assert restored.json() == {"written": 2}
    assert other.run("open('deep/b', 'rb').read() == bytes(range(256))")["value"] is True
    one.close()
    other.close()


def test_files_are_not_written_through_links(session: Client, sandbox: ServiceProcess, tmp_path: Path) -> None:
    session.run(f"import os\nos.symlink({str(tmp_path)!r}, 'd')\nos.symlink({str(tmp_path / 'f')!r}, 'f')")
    for name in ("d/x", "f"):
        refused = sandbox.post(f"/v1/sessions/{session.id}/files", {"files": {name: "eA=="}})
        assert refused.status_code == 409
    assert not list(tmp_path.iterdir())


def test_what_sessions_leave_is_removed(sandbox: ServiceProcess) -> None:
    client = Client(sandbox)
    pid = client.run("import os; open('x', 'w').write('x'); os.getpid()")["value"]
    client.close()
    eventually(lambda: not Path(f"/proc/{pid}").exists(), what="its process is gone")
    assert client.try_run("1").status_code == 404
