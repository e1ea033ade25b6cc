"""Services under attack in containers that can be thrown away: the sandbox as it is deployed, and peers without walls."""

from __future__ import annotations

import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.hostile.case import Answer, Case
from tests.hostile.suite import Canaries
from tests.smoke.docker import ROOT, Docker

IMAGE = "mentor-sandbox:latest"
LOCKED = (
    *("--user", "10001:10001", "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--read-only", "--init"),
    *("--tmpfs", "/tmp:mode=1777,size=512m", "--pids-limit", "256"),
    *("--memory", "2g", "--memory-swap", "2g", "--cpus", "2"),
)
SETTINGS = {"MEMORY_MB": "192", "FILE_MB": "4", "SCRATCH_MB": "8", "INTERRUPT_GRACE_S": "0.3", "MAX_QUEUE": "512",
            "WARM": '["core", "scientific"]'}  # fmt: skip
_SLACK_S = 4.0


class Container:
    """A container with a port on the loopback interface, and secrets in it that nobody may learn."""

    def __init__(
        self, docker: Docker, name: str, canaries: Canaries, options: Sequence[str], command: Sequence[str] = ()
    ) -> None:
        self.docker, self.name = docker, name
        self._arguments = ("run", "--detach", "--name", name, *LOCKED, "--env", f"HOSTILE_CANARY={canaries.environment}",
                           "--volume", f"{canaries.directory}:{canaries.directory}:ro", *options, IMAGE, *command)  # fmt: skip

    def start(self, url: str) -> None:
        """Start it anew and wait until it answers."""
        self.remove()
        self.docker.run(*self._arguments)
        until = time.monotonic() + 60
        while time.monotonic() < until:
            try:
                httpx.get(url, timeout=1, trust_env=False)
                return
            except httpx.HTTPError:
                time.sleep(0.1)
        raise AssertionError(f"{self.name} did not start:\n{self.docker.run('logs', self.name, check=False)}")

    def remove(self) -> None:
        """Kill it, whatever runs in it."""
        self.docker.run("rm", "--force", self.name, check=False)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def canary_folder() -> Iterator[Canaries]:
    """Secrets in a folder that a container's user can read: what keeps a call from them are the walls, not the file's mode."""
    with tempfile.TemporaryDirectory(prefix="mentor-canary-") as folder:
        made = Canaries(folder, server_pid=1)
        Path(folder).chmod(0o755)
        Path(made.path).write_text(made.file)
        Path(made.path).chmod(0o644)
        yield made


@contextmanager
def locked_down_sandbox(docker: Docker, canaries: Canaries) -> Iterator[str]:
    """The sandbox as Compose runs it, with its seccomp profile; its URL."""
    port = free_port()
    options = ["--publish", f"127.0.0.1:{port}:5000", "--security-opt", f"seccomp={ROOT}/deploy/seccomp/sandbox.json"]
    options += [part for name, value in SETTINGS.items() for part in ("--env", f"MENTOR_SANDBOX_{name}={value}")]
    container = Container(docker, "mentor-hostile-sandbox", canaries, options)
    url = f"http://127.0.0.1:{port}"
    try:
        container.start(f"{url}/ready")
        yield url
    finally:
        container.remove()


class Peer:
    """A service without our walls as a target: it is started anew whenever it no longer answers."""

    lane = "source"
    coarse = True

    def __init__(self, name: str, container: Container, url: str) -> None:
        self.name = name
        self._container, self._url = container, url
        self.starts = 0

    def restart(self) -> None:
        """A fresh one."""
        self.starts += 1
        self._container.start(self._url)

    def remove(self) -> None:
        """Take it away."""
        self._container.remove()

    def takes(self, case: Case) -> bool:
        """Requests of our own form are not for it."""
        return case.request is None

    async def run(self, case: Case, code: str) -> Answer:
        """See ``Target``."""
        path, body = self._request(case, code)
        try:
            async with httpx.AsyncClient(timeout=case.limit_s + _SLACK_S, trust_env=False) as client:
                response = await client.post(f"{self._url}{path}", json=body)
        except (httpx.HTTPError, ValueError):
            self.restart()
            return Answer("down", "", "")
        return self._answer(response) if response.status_code == 200 else Answer("error", "", response.text)

    def _request(self, case: Case, code: str) -> tuple[str, dict[str, Any]]:
        raise NotImplementedError

    def _answer(self, response: httpx.Response) -> Answer:
        raise NotImplementedError


class StandIn(Peer):
    """A server of the benchmark (``benchmarks/sandbox``)."""

    def __init__(self, docker: Docker, name: str, module: str, canaries: Canaries) -> None:
        port = free_port()
        # Its server listens on the loopback interface alone, so the container shares the host's; that is all it shares.
        options = (
            "--network",
            "host",
            "--volume",
            f"{ROOT}/benchmarks:/peers/benchmarks:ro",
            "--env",
            "PYTHONPATH=/peers",
        )
        command = ("python", "-m", f"benchmarks.sandbox.{module}", str(port))
        container = Container(docker, f"mentor-hostile-{module.replace('_', '-')}", canaries, options, command)
        super().__init__(name, container, f"http://127.0.0.1:{port}")

    def _request(self, case: Case, code: str) -> tuple[str, dict[str, Any]]:
        # What it prints comes back as part of the value: not every peer keeps output and value apart.
        lines = ("import io, contextlib", "_said = io.StringIO()", "with contextlib.redirect_stdout(_said):")
        env = "\n".join((*lines, f"    exec({code!r}, globals())"))
        call = "repr(globals().get('result')) + _said.getvalue()"
        return "/execute", {"env": env, "call": call, "timeout": max(1, round(case.limit_s))}

    def _answer(self, response: httpx.Response) -> Answer:
        found = response.json()
        error = found.get("error")
        status = "ok" if error is None else "timeout" if "time" in str(error).lower() else "error"
        return Answer(status, f"{found.get('result')}\n{found.get('output')}", response.text)


class SandboxFusion(Peer):
    """SandboxFusion from its sources: checkout and environment as ``benchmarks/sandbox/peers.py`` wants them.

    Root in its container, as in its own image, and with its Python's folders mounted.
    """

    lane = "program"

    def __init__(self, docker: Docker, checkout: str, python: str, canaries: Canaries) -> None:
        port = free_port()
        folders = subprocess.check_output([python, "-c", "import sys; print(sys.prefix, sys.base_prefix)"], text=True)
        mounts = [part for folder in {*folders.split(), checkout} for part in ("--volume", f"{folder}:{folder}:ro")]
        options = ("--network", "host", "--user", "0:0", "--workdir", checkout, *mounts, "--env", "LOG_LEVEL=ERROR")
        command = (python, "-m", "uvicorn", "sandbox.server.server:app", "--host", "127.0.0.1", "--port", str(port))
        container = Container(docker, "mentor-hostile-sandbox-fusion", canaries, options, command)
        super().__init__("SandboxFusion", container, f"http://127.0.0.1:{port}")

    def _request(self, case: Case, code: str) -> tuple[str, dict[str, Any]]:
        return "/run_code", {"code": code, "language": "python", "run_timeout": case.limit_s}

    def _answer(self, response: httpx.Response) -> Answer:
        run = response.json().get("run_result") or {}
        ended = {"Finished": "ok", "TimeLimitExceeded": "timeout"}.get(run.get("status"), "error")
        status = "error" if ended == "ok" and run.get("return_code") else ended
        return Answer(status, str(run.get("stdout")), response.text)
