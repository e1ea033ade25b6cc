"""Workers that are forked instead of started: what becomes of their arguments, output and ends. Real processes."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mentor_trainer.verl_ext.prefork import MODULES
from tests.support.waiting import eventually

MAKER = """
import sys
from pathlib import Path
from mentor_trainer.verl_ext import prefork
prefork.MODULES = ("json",)
if "thread" in sys.argv:
    import threading, time
    threading.Thread(target=time.sleep, args=(60,), daemon=True, name="another").start()
print(prefork.fork_workers(Path(sys.argv[1])), flush=True)
sys.stdin.read()
"""
LEFT = """
import importlib, json, os, sys
sys.path[:0] = {path!r}
from mentor_trainer.verl_ext import prefork
for name in prefork.MODULES:
    importlib.import_module(name)
assert not {{"ray", "verl"}} & set(sys.modules)
before = set(sys.modules)
threads = [open(f"/proc/self/task/{{task}}/comm").read().strip() for task in os.listdir("/proc/self/task")]
import verl.trainer.main_ppo, mentor_trainer.verl_ext.agent_loop, mentor_trainer.verl_ext.reward
print(json.dumps([threads, sorted(set(sys.modules) - before)]))
"""


@pytest.fixture
def maker(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
    """The process whose copies are wanted, and the command that Ray would start workers by."""
    with _making(tmp_path / "ray") as process:
        assert process.stdout is not None
        yield process, shlex.split(process.stdout.readline())
        process.kill()


def _making(folder: Path, *more: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", MAKER, str(folder), *more],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )


def _script(folder: Path, text: str) -> str:
    path = folder / "worker.py"
    path.write_text(text)
    return str(path)


def test_a_fork_has_the_arguments_environment_directory_and_output_that_were_asked_for(
    maker: tuple[subprocess.Popen[str], list[str]], tmp_path: Path
) -> None:
    script = _script(
        tmp_path,
        "import json, os, random, sys\nimport numpy\n"
        "print(json.dumps([sys.argv, dict(os.environ), os.getcwd(), sys.stdin.read(), __name__,"
        " random.random(), numpy.random.random()]))\nprint('to stderr', file=sys.stderr)\nsys.exit(7)",
    )
    runs = [
        subprocess.run(
            [*maker[1], script, "--a", "b c"],
            input="typed",
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env={"PATH": os.environ["PATH"], "ONLY": "this"},
        )
        for _ in range(2)
    ]
    told = [json.loads(run.stdout) for run in runs]
    for run, (arguments, environment, directory, typed, name, *_) in zip(runs, told, strict=True):
        assert (arguments, directory, typed, name) == ([script, "--a", "b c"], str(tmp_path), "typed", "__main__")
        assert environment["ONLY"] == "this" and "PYTHONPATH" not in environment
        assert (run.stderr, run.returncode) == ("to stderr\n", 7)
    assert told[0][-2] != told[1][-2] and told[0][-1] != told[1][-1], "two workers drew the same numbers"


def test_a_fork_ends_with_who_asked_for_it(maker: tuple[subprocess.Popen[str], list[str]], tmp_path: Path) -> None:
    script = _script(tmp_path, "import os, time\nprint(os.getpid(), flush=True)\ntime.sleep(600)")
    asked = subprocess.Popen([*maker[1], script], stdout=subprocess.PIPE, text=True)
    assert asked.stdout is not None
    pid = int(asked.stdout.readline())
    assert pid != asked.pid
    asked.kill()
    eventually(lambda: not Path(f"/proc/{pid}").exists(), what="the fork is gone")
    asked.wait()
    alive = subprocess.Popen([*maker[1], script], stdout=subprocess.PIPE, text=True)
    assert alive.stdout is not None
    os.kill(int(alive.stdout.readline()), signal.SIGKILL)
    assert alive.wait(60) == 128 + signal.SIGKILL


def test_nothing_is_forked_once_the_maker_is_gone(
    maker: tuple[subprocess.Popen[str], list[str]], tmp_path: Path
) -> None:
    process, command = maker
    script = _script(tmp_path, "print('here')")
    assert subprocess.run([*command, script], capture_output=True, text=True).stdout == "here\n"
    process.kill()
    process.wait()
    eventually(
        lambda: subprocess.run([*command, script], capture_output=True, text=True).returncode != 0,
        what="the forking process has ended",
    )


def test_with_another_thread_ray_starts_its_workers_itself(tmp_path: Path) -> None:
    with _making(tmp_path / "ray", "thread") as process:
        assert process.stdout is not None and process.stdout.readline() == "None\n"
        process.kill()
    assert not (tmp_path / "ray").exists()


def test_what_a_worker_has_left_to_import_is_rays_and_verls_own() -> None:
    """Whatever else appears there is to be added to ``MODULES``: every worker would import it again."""
    environment = {
        **os.environ,
        "VERL_PLATFORM": "cpu",
        "VERL_USE_EXTERNAL_MODULES": "mentor_trainer.verl_ext.plugin",
        "OPENBLAS_NUM_THREADS": "1",
    }
    done = subprocess.run(
        [sys.executable, "-c", LEFT.format(path=sys.path)], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr
    threads, names = json.loads(done.stdout.splitlines()[-1])
    assert set(threads) <= {"python", "python3", "python3.11", "jemalloc_bg_thd"} and len(threads) <= 2, threads
    left = [name.split(".")[0] for name in names]
    others = [name for name in left if name not in ("ray", "verl", "transfer_queue", "mentor_trainer")]
    assert MODULES and len(others) < 200, sorted(set(others))
