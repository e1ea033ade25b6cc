"""The sandbox as a process: the shapes that existing clients expect, and what hostile calls can and cannot do."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.support.service_process import ServiceProcess, running_process
from tests.support.waiting import eventually


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    root = tmp_path_factory.mktemp("scratch")
    secret = {"MENTOR_SANDBOX_SCRATCH_ROOT": str(root), "SECRET_OF_THE_SERVER": "do-not-leak"}
    with running_process("mentor_sandbox", "--set", "scratch_mb=8", env=secret) as service:
        yield service


def execute(sandbox: ServiceProcess, env: str, call: str = "None", timeout: float = 5) -> dict[str, Any]:
    response = sandbox.post("/execute", {"env": env, "call": call, "timeout": timeout})
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def test_a_published_client_gets_the_published_shape(sandbox: ServiceProcess) -> None:
    answer = execute(sandbox, "def greet(name):\n    print('hi')\n    return {'name': name}", "greet('Ada')")
    assert (answer["output"], answer["result"], answer["error"]) == ("hi\n", {"name": "Ada"}, None)


def test_a_failing_tool_is_an_answer_with_an_error(sandbox: ServiceProcess) -> None:
    answer = execute(sandbox, "def f():\n    return 1 / 0", "f()")
    assert answer["result"] is None
    assert answer["error"] == "ZeroDivisionError: division by zero"
    assert answer["status"] == "tool_error"


def test_the_timeout_of_the_request_is_enforced(sandbox: ServiceProcess) -> None:
    answer = execute(sandbox, "print('before', end='')\nwhile True:\n    pass", timeout=0.3)
    assert answer["status"] == "timeout"
    assert answer["error"] == "Timeout: the call exceeded its time limit of 0.3 s"
    assert answer["output"] == "before"


@pytest.mark.parametrize("falsy", ["0", "0.0", '""', "[]", "{}", "False"])
def test_a_falsy_result_is_a_result(sandbox: ServiceProcess, falsy: str) -> None:
    answer = execute(sandbox, "", falsy)
    assert (answer["result"], answer["error"]) == (json.loads(falsy.lower()), None)


@pytest.mark.parametrize(
    ("expression", "encoded"),
    [
        ("float('inf')", {"__float__": "inf"}),
        ("float('nan')", {"__float__": "nan"}),
        ("10**5000 > 0 and 2**20000 == int(hex(2**20000), 16)", True),
        ("1 + 2j", {"__complex__": [1.0, 2.0]}),
        ("b'ab'", {"__bytes__": "YWI="}),
        ("{3, 1, 2}", {"__set__": [1, 2, 3]}),
        ("{1: 'a'}", {"__dict__": [[1, "a"]]}),
        ("(1, 2)", [1, 2]),
        ("2**70", 2**70),
        ("object", {"__repr__": "<class 'object'>", "type": "builtins.type"}),
    ],
)
def test_values_beyond_json_are_explicit(sandbox: ServiceProcess, expression: str, encoded: Any) -> None:
    answer = execute(sandbox, "", expression)
    assert (answer["result"], answer["error"]) == (encoded, None)


def test_numpy_values_come_back_as_numbers_and_lists(sandbox: ServiceProcess) -> None:
    answer = execute(sandbox, "import numpy as np", "[np.float64(1.5), np.int32(2), np.arange(3)]")
    assert answer["result"] == [1.5, 2, {"__ndarray__": [0, 1, 2], "dtype": "int64"}]


def test_large_output_is_neither_lost_nor_a_timeout(sandbox: ServiceProcess) -> None:
    answer = execute(sandbox, "print('x' * 1_000_000, end='')")
    assert (answer["status"], len(answer["output"])) == ("ok", 1_000_000)


HOSTILE = [
    ("an endless loop that excepts everything",
     "while True:\n  try:\n    while True: pass\n  except BaseException: pass", "timeout", None),
    ("an endless loop in C", "sum(iter(int, 1))", "timeout", None),
    ("fork", "import os\nos.fork()", "tool_error", "PermissionError"),
    ("a subprocess", "import subprocess\nsubprocess.run(['true'])", "tool_error", "PermissionError"),
    ("a memory bomb", "x = 'a' * 10**11", "memory", "MemoryError"),
    ("a growing list", "x = []\nwhile True: x.append(' ' * 10**7)", "memory", "MemoryError"),
    ("an output flood", "while True: print('x' * 100_000)", "output_limit", "OutputLimit"),
    ("an output flood below Python", "import os\nwhile True: os.write(1, b'x' * 100_000)", "output_limit",
     "OutputLimit"),
    ("a result too large", "x = 'a' * 10_000_000", "output_limit", "OutputLimit"),
    ("a disk flood", "n = 0\nwhile True:\n  n += 1\n  open(str(n), 'w').write('x' * 10**6)", "output_limit",
     "ScratchLimit"),
    ("a flood of descriptors", "f = [open('/dev/null') for _ in range(100)]", "tool_error", "OSError"),
    ("sys.exit", "import sys\nsys.exit(3)", "tool_error", "SystemExit"),
    ("os._exit with 0", "import os\nos._exit(0)", "killed", "Exited"),
    ("a segmentation fault", "import ctypes\nctypes.string_at(0)", "killed", "SIGSEGV"),
    ("suicide", "import os\nos.kill(os.getpid(), 9)", "killed", "SIGKILL"),
    ("murder of the zygote", "import os\nos.kill(os.getppid(), 9)", "tool_error", "PermissionError"),
    ("murder of the group", "import os\nos.kill(0, 9)", "tool_error", "PermissionError"),
    ("deep recursion", "def f(): return f()\nf()", "tool_error", "RecursionError"),
    ("a socket", "import socket\nsocket.socket()", "tool_error", "PermissionError"),
    ("a datagram socket", "import socket\nsocket.socket(type=socket.SOCK_DGRAM)", "tool_error", "PermissionError"),
    ("the host's files", "open('/etc/passwd').read()", "tool_error", "PermissionError"),
    ("the parent's environment", "import os\nopen(f'/proc/{os.getppid()}/environ').read()", "tool_error",
     "PermissionError"),
    ("its own process file system", "open('/proc/self/maps').read()", "tool_error", "PermissionError"),
    ("others' scratch", "import os\nos.listdir('..')", "tool_error", "PermissionError"),
    ("writing to the interpreter", "import json\nopen(json.__file__, 'a')", "tool_error", "PermissionError"),
    ("higher limits", "import resource\nresource.setrlimit(resource.RLIMIT_AS, (-1, -1))", "tool_error", None),
    ("ptrace", "import ctypes\nc = ctypes.CDLL(None, use_errno=True)\nassert c.ptrace(0, 0, 0, 0) == 0", "tool_error",
     "AssertionError"),
    ("a forged result", "import os\nos.write(3, b'\\x05\\0\\0\\0hello')", "killed", "ForgedResult"),
    ("a forged result with every detail right but its value",
     "import os, struct, sys, json, gc\n"
     "r = next(o for o in gc.get_objects() if isinstance(o, dict) and 'nonce' in o)\n"
     "b = json.dumps({'nonce': r['nonce'], 'status': 'ok', 'value_json': 'NaN', 'error_type': '', "
     "'error_message': ''}).encode()\n"
     "os.write(3, struct.pack('=I', len(b)) + b)\nos._exit(0)", "killed", "ForgedResult"),
    ("a forged infrastructure failure",
     "import os, struct, sys, json, gc\n"
     "r = next(o for o in gc.get_objects() if isinstance(o, dict) and 'nonce' in o)\n"
     "b = json.dumps({'nonce': r['nonce'], 'status': 'infrastructure', 'value_json': None, 'error_type': '', "
     "'error_message': ''}).encode()\n"
     "os.write(3, struct.pack('=I', len(b)) + b)\nos._exit(0)", "killed", "ForgedResult"),
    ("a closed result channel", "import os\nos.close(3)", "killed", "Exited"),
    ("an exception without a message", "class E(Exception):\n  def __str__(self): 1 / 0\nraise E", "tool_error", "E"),
    ("a patched json", "import json\njson.dumps = None", "ok", None),
    ("a thread that never ends", "import threading\nthreading.Thread(target=lambda: [0 for _ in iter(int, 1)]).start()",
     "ok", None),
]  # fmt: skip


@pytest.mark.parametrize(("env", "status", "kind"), [h[1:] for h in HOSTILE], ids=[h[0] for h in HOSTILE])
def test_a_hostile_call_gets_its_status_and_harms_nobody(
    sandbox: ServiceProcess, env: str, status: str, kind: str | None
) -> None:
    answer = execute(sandbox, env, "x" if "10_000_000" in env else "None", timeout=1 if status == "timeout" else 30)
    assert answer["status"] == status, answer
    assert kind is None or answer["error_type"] == kind, answer
    assert (answer["error"] is None) == (status == "ok")
    assert execute(sandbox, "", "6 * 7")["result"] == 42


def test_a_call_sees_no_environment_no_arguments_and_no_descriptors(sandbox: ServiceProcess) -> None:
    env = """
import os, sys
def open_descriptors():
    found = []
    for number in range(200):
        try:
            os.fstat(number)
        except OSError:
            continue
        found.append(number)
    return found
"""
    answer = execute(sandbox, env, "[dict(os.environ), sys.argv, open_descriptors(), os.listdir('.')]")
    assert answer["result"] == [{}, [""], [0, 1, 2, 3], []]


def test_nothing_persists_from_call_to_call(sandbox: ServiceProcess) -> None:
    execute(sandbox, "import builtins, math\nbuiltins.open = None\nmath.pi = 3\nopen_ = 1")
    answer = execute(sandbox, "import builtins, math", "[callable(builtins.open), round(math.pi, 2)]")
    assert answer["result"] == [True, 3.14]


def test_two_calls_draw_different_random_numbers(sandbox: ServiceProcess) -> None:
    core = [execute(sandbox, "import random", "random.random()")["result"] for _ in range(2)]
    scientific = [execute(sandbox, "import numpy", "float(numpy.random.rand())")["result"] for _ in range(2)]
    assert core[0] != core[1]
    assert scientific[0] != scientific[1]


def test_endless_loops_do_not_stop_other_calls(sandbox: ServiceProcess) -> None:
    with ThreadPoolExecutor(4) as threads:
        loops = [threads.submit(execute, sandbox, "while True: pass", "0", 3) for _ in range(3)]
        assert execute(sandbox, "", "1 + 1")["result"] == 2
        assert not any(loop.done() for loop in loops)
        assert {loop.result()["status"] for loop in loops} == {"timeout"}


def test_no_process_and_no_scratch_is_left_behind(sandbox: ServiceProcess) -> None:
    execute(sandbox, "import os\nos.makedirs('a/b')\nopen('a/b/c', 'w').write('x')\nos.chmod('a/b', 0)")
    health = sandbox.get("/health").json()
    zygotes = [member["pid"] for members in health["zygotes"].values() for member in members]
    warm = sum(group["count"] for group in health["workers"])
    directory = _scratch_root(sandbox)
    eventually(lambda: not list(directory.glob("call-*")), within=10, what="scratch is empty")
    eventually(
        lambda: sum(len(_children(pid).split()) for pid in zygotes) == warm, within=10, what="only workers are left"
    )


def _scratch_root(sandbox: ServiceProcess) -> Path:
    where = execute(sandbox, "import os", "os.getcwd()")["result"]
    return Path(where).parent


def _children(pid: int) -> str:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().strip()


def test_metrics_account_for_every_call(sandbox: ServiceProcess) -> None:
    labels = {"lane": "registered", "tool": "modulo", "status": "ok"}
    before = sandbox.metric("mentor_sandbox_calls_total", **labels)
    for _ in range(3):
        sandbox.post("/v1/execute", {"tool": "modulo", "arguments": {"dividend": 7, "divisor": 4}})
    assert sandbox.metric("mentor_sandbox_calls_total", **labels) - before == 3


def test_health_lists_the_walls(sandbox: ServiceProcess) -> None:
    walls = sandbox.get("/health").json()["walls"]
    assert {"rlimits", "landlock", "seccomp", "no_new_privs", "capabilities", "scratch"} <= walls.keys()
    assert re.match("on", walls["seccomp"])


CHILD = """
import os, random, threading
import numpy
def own():
    return threading.main_thread().native_id == os.getpid() == threading.get_native_id()
"""


def test_a_child_is_as_python_makes_one_after_a_fork(sandbox: ServiceProcess) -> None:
    body = {"env": CHILD, "call": "[random.random(), float(numpy.random.random()), own()]", "timeout": 20}
    seen = [sandbox.post("/execute", body).json()["result"] for _ in range(6)]
    assert all(fine for _, _, fine in seen)
    assert len({number for number, _, _ in seen}) == len({number for _, number, _ in seen}) == len(seen)
