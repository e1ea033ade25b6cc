"""SandboxFusion's own SDK and verl's reward utility, both as published, against a running sandbox."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Iterator
from typing import Any

import pytest
import sandbox_fusion as sdk
from verl.utils.reward_score import sandbox_fusion as verl_reward

from tests.support.service_process import ServiceProcess, running_process


@pytest.fixture(scope="module")
def sandbox() -> Iterator[ServiceProcess]:
    with running_process("mentor_sandbox") as service:
        yield service


def run(sandbox: ServiceProcess, code: str, **more: Any) -> Any:
    request = sdk.RunCodeRequest(code=code, language="python", **more)
    return sdk.run_code(request, endpoint=sandbox.http, max_attempts=1, client_timeout=60)


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def test_the_sdk_runs_a_program(sandbox: ServiceProcess) -> None:
    response = run(sandbox, "import sys\nprint(sys.stdin.read().upper())\nprint('e', file=sys.stderr)", stdin="héllo")
    assert response.status == sdk.RunStatus.Success
    assert response.compile_result is None
    assert response.run_result.status == sdk.CommandRunStatus.Finished
    assert (response.run_result.return_code, response.run_result.stdout) == (0, "HÉLLO\n")
    assert response.run_result.stderr == "e\n"


@pytest.mark.parametrize(
    ("code", "return_code", "shown"),
    [
        ("import sys\nsys.exit(3)", 3, ""),
        ("import sys\nsys.exit('bye')", 1, "bye\n"),
        ("1 / 0", 1, "ZeroDivisionError: division by zero\n"),
        ("x = (", 1, "SyntaxError: '(' was never closed\n"),
        ("import os\nos._exit(4)", 4, ""),
        ("import os\nos.kill(os.getpid(), 9)", -9, ""),
    ],
)
def test_the_sdk_sees_how_a_program_failed(sandbox: ServiceProcess, code: str, return_code: int, shown: str) -> None:
    response = run(sandbox, code)
    assert response.status == sdk.RunStatus.Failed
    assert response.run_result.return_code == return_code
    assert response.run_result.stderr.endswith(shown)
    assert sdk.summary_run_code_result(response, sdk.SummaryMapping()) == "Failed"


def test_the_sdk_sees_a_time_out(sandbox: ServiceProcess) -> None:
    response = run(sandbox, "print('begun')\nwhile True: pass", run_timeout=0.5)
    assert response.run_result.status == sdk.CommandRunStatus.TimeLimitExceeded
    assert (response.run_result.return_code, response.run_result.stdout) == (None, "begun\n")
    assert sdk.summary_run_code_result(response, sdk.SummaryMapping(RunTimeout="late")) == "late"


def test_files_go_in_and_come_out(sandbox: ServiceProcess) -> None:
    code = "import helper\nopen('out/n.txt', 'w').write(helper.text() + open('data/in.txt').read())"
    files = {"helper.py": b64("def text(): return 'got '"), "data/in.txt": b64("it"), "out/empty": None}
    response = run(sandbox, code, files=files, fetch_files=["out/n.txt", "./out/empty", "missing"])
    assert response.files == {"out/n.txt": b64("got it"), "out/empty": ""}


@pytest.mark.parametrize("size", [300_000, 1_000_000])
def test_output_is_neither_lost_nor_late(sandbox: ServiceProcess, size: int) -> None:
    response = run(sandbox, f"print('x' * {size}, end='')")
    assert response.status == sdk.RunStatus.Success
    assert len(response.run_result.stdout) == size


def test_output_that_is_cut_says_so(sandbox: ServiceProcess) -> None:
    body = {"code": "print('x' * 3_000_000)", "language": "python"}
    answer = sandbox.post("/run_code", body).json()
    assert (answer["truncated"], answer["run_result"]["stdout_truncated"]) == (True, True)


@pytest.mark.parametrize("memory_mb", [1024, 2048, 4096])
def test_numpy_can_be_imported_under_a_memory_limit(sandbox: ServiceProcess, memory_mb: int) -> None:
    for code in ("import numpy\nprint(numpy.ones(3).sum())", "print(__import__('num' + 'py').ones(3).sum())"):
        answer = sandbox.post("/run_code", {"code": code, "language": "python", "memory_limit_MB": memory_mb}).json()
        assert answer["run_result"]["stdout"] == "3.0\n"


def test_a_memory_limit_is_enforced(sandbox: ServiceProcess) -> None:
    body = {"code": "x = bytearray(10**9)", "language": "python", "memory_limit_MB": 100}
    answer = sandbox.post("/run_code", body).json()
    assert (answer["status"], answer["call_status"], answer["run_result"]["return_code"]) == ("Failed", "memory", 1)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"language": "cpp"}, "language"),
        ({"files": {"a": "no base64!"}}, "files"),
        ({"files": {"../a": ""}}, "files"),
        ({"files": {"/etc/a": ""}}, "files"),
        ({"files": {"a": "", "a/b": ""}}, "files"),
        ({"files": {str(n): "" for n in range(300)}}, "files"),
        ({"fetch_files": ["../../etc/passwd"]}, "fetch_files"),
        ({"run_timeout": -1}, "run_timeout"),
        ({"run_timeout": 10_000}, "timeout"),
    ],
)
def test_what_is_not_acceptable_is_named(sandbox: ServiceProcess, change: dict[str, Any], field: str) -> None:
    response = sandbox.post("/run_code", {"code": "1", "language": "python"} | change)
    assert response.status_code in (400, 422)
    assert response.json()["error"]["field"] == field


def test_a_link_out_of_the_directory_is_not_followed(sandbox: ServiceProcess) -> None:
    code = "import os\nos.symlink('/etc', 'd')\nos.symlink('/etc/hostname', 'f')"
    response = run(sandbox, code, fetch_files=["d/hostname", "f"])
    assert (response.status, response.files) == (sdk.RunStatus.Success, {})


def test_the_sdk_runs_concurrently(sandbox: ServiceProcess) -> None:
    requests = [sdk.RunCodeRequest(code=f"print({n})", language="python") for n in range(16)]

    async def all_of_them() -> list[Any]:
        calls = (sdk.run_code_async(request, endpoint=sandbox.http, max_attempts=1) for request in requests)
        return list(await asyncio.gather(*calls))

    assert [response.run_result.stdout for response in asyncio.run(all_of_them())] == [f"{n}\n" for n in range(16)]


def test_the_sdk_runs_cells(sandbox: ServiceProcess) -> None:
    cells = ["a = 123", "a", "print(a)", "import sys; n = sys.stderr.write('err')", "raise RuntimeError('no')", "a + 1"]
    request = sdk.RunJupyterRequest(cells=[*cells, "n = open('o', 'w').write('out')"], fetch_files=["o"])
    response = sdk.run_jupyter(request, endpoint=sandbox.http, max_attempts=1)
    assert (response.status, response.driver.return_code) == (sdk.RunStatus.Success, 0)
    assert [cell.stdout for cell in response.cells[:4]] == ["", "", "123\n", ""]
    assert (response.cells[1].display, response.cells[3].stderr) == ([{"text/plain": "123"}], "err")
    error = response.cells[4].error[0]
    assert (error["ename"], error["evalue"]) == ("RuntimeError", "no")
    assert response.cells[5].display == [{"text/plain": "124"}]
    assert response.files == {"o": b64("out")}


def test_cells_that_are_too_late_end_the_run(sandbox: ServiceProcess) -> None:
    request = sdk.RunJupyterRequest(cells=["1", "while True: pass", "3"], total_timeout=1)
    response = sdk.run_jupyter(request, endpoint=sandbox.http, max_attempts=1)
    assert (response.status, response.driver.status) == ("Failed", "TimeLimitExceeded")
    assert len(response.cells) == 2


def test_it_answers_a_ping(sandbox: ServiceProcess) -> None:
    response = sandbox.get("/v1/ping")
    assert (response.status_code, response.json()) == (200, "pong")


GOOD = "a, b = map(int, input().split())\nprint(a + b)"
STDIO = {"inputs": ["1 2\n", "10 -3\n"], "outputs": ["3\n", "7\n"]}
FUNCTION = {"fn_name": "total", "inputs": ["[1, 2]\n3", "[]\n0"], "outputs": ["6", "0"]}


@pytest.mark.parametrize(
    ("completion", "tests", "score"),
    [
        (GOOD, STDIO, 1.0),
        ("print(3)", STDIO, 0.5),
        ("1 / 0", STDIO, 0.0),
        ("while True: pass", {"inputs": ["1\n"], "outputs": ["1\n"]}, 0.0),
        ("def total(xs, y):\n    return sum(xs) + y", FUNCTION, 1.0),
        ("import numpy as np\na = np.array(input().split(), int)\nprint(a.sum())", STDIO, 1.0),
    ],
)
def test_verls_reward_utility_scores_programs(
    sandbox: ServiceProcess, completion: str, tests: dict[str, Any], score: float
) -> None:
    url = f"{sandbox.http}/run_code"
    fenced = f"```python\n{completion}\n```"
    got, metadata = verl_reward.compute_score(url, None, 1024, fenced, tests, continuous=True, timeout=2)
    assert got == score, metadata


def test_verls_reward_utility_tells_late_from_wrong(sandbox: ServiceProcess) -> None:
    from verl.utils.reward_score.sandbox_fusion.utils import check_correctness

    tests = {"inputs": ["", "", ""], "outputs": ["1\n", "2\n", "3\n"]}
    late = "import random\nprint(1, flush=True)\nwhile True: pass"
    assert [m["status"] for m in check_correctness(f"{sandbox.http}/run_code", tests, late, 1)[1]] == ["timeout"] * 3
    wrong = check_correctness(f"{sandbox.http}/run_code", tests, "print(1)", 2)
    assert [m["status"] for m in wrong[1]] == ["success", "wrong_answer", "wrong_answer"]
    failing = check_correctness(f"{sandbox.http}/run_code", tests, "raise SystemExit(1)", 2)
    assert [m["status"] for m in failing[1]] == ["runtime_error"] * 3
