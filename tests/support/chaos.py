"""A whole deployment of real processes, each of which can be killed at any moment and comes back on its old address."""

from __future__ import annotations

import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from mentor.jobs.embedded_redis import redis_url, start_redis
from tests.support.service_process import environment
from tests.support.waiting import eventually


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Deployment:
    """Redis, a sandbox, a model server, a job service and its worker.

    Args:
        service: ``evaluator`` or ``teacher``.
        handlers: what the worker runs.
        latency_s: of the model server.
    """

    def __init__(self, folder: Path, service: str, handlers: tuple[str, ...], latency_s: float) -> None:
        self.folder = folder
        names = ("sandbox", "sandbox rpc", "model", "service", "service rpc")
        self.ports = {name: free_port() for name in names}
        self.model_log = folder / "model.log"
        self.env = environment(
            {
                "MENTOR_JOBS_REDIS_URL": redis_url(folder / "redis"), "MENTOR_JOBS_STORE": str(folder / "store"),
                "MENTOR_JOBS_LEASE_S": "4", "MENTOR_JOBS_REAP_INTERVAL_S": "0.5", "MENTOR_JOBS_REPUBLISH_S": "2",
                # Whoever kills workers for as long as a job runs must not take the job for what kills them.
                "MENTOR_JOBS_MAX_LAPSES": "100",
                "MENTOR_SANDBOX_TARGET": f"127.0.0.1:{self.ports['sandbox rpc']}",
            }
        )  # fmt: skip
        module, ports = "mentor.jobs.worker", self.ports
        flags = [flag for handler in handlers for flag in ("--handler", handler)]
        self.commands: dict[str, list[str]] = {
            "sandbox": ["mentor_sandbox", "--port", str(ports["sandbox"]), "--grpc-port", str(ports["sandbox rpc"])],
            "model": ["tests.support.adding_server", str(ports["model"]), str(latency_s), str(self.model_log)],
            "service": [f"mentor_{service}", "--port", str(ports["service"]), "--grpc-port", str(ports["service rpc"])],
            "worker": [module, "--name", service, *flags],
        }
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self.kills: list[str] = []
        self.start("redis")
        for name in self.commands:
            self.start(name)
        eventually(self.up, what="the deployment to be up")

    def url(self, name: str) -> str:
        """Where one of its services listens."""
        return f"http://127.0.0.1:{self.ports[name]}"

    def start(self, name: str) -> None:
        """Start one of its processes."""
        if name == "redis":
            self.running[name] = start_redis(self.folder / "redis")
            return
        with (self.folder / f"{name}.log").open("ab") as log:
            command = [sys.executable, "-m", *self.commands[name]]
            self.running[name] = subprocess.Popen(command, env=self.env, stdout=log, stderr=subprocess.STDOUT)

    def up(self) -> bool:
        """Whether those that answer HTTP do."""
        try:
            paths = {"service": "/ready", "sandbox": "/ready", "model": "/v1/models"}
            return all(
                httpx.get(self.url(n) + p, trust_env=False, timeout=5).status_code == 200 for n, p in paths.items()
            )
        except httpx.HTTPError:
            return False

    def kill(self, name: str, away_s: float) -> None:
        """kill -9, some time of absence, and a new one in its place."""
        self.kills.append(name)
        process = self.running[name]
        process.send_signal(signal.SIGKILL)
        process.wait()
        time.sleep(away_s)
        self.start(name)

    def disturb(self, done: Callable[[], bool], rng: random.Random, every_s: tuple[float, float]) -> None:
        """Kill one after another at random moments until ``done``; every kind is killed before any is again."""
        waiting: list[str] = []
        while not done():
            time.sleep(rng.uniform(*every_s))
            if done():
                return
            waiting = waiting or rng.sample(["worker", "service", "redis", "sandbox", "model"], 5)
            self.kill(waiting.pop(), rng.uniform(0.0, 1.5))

    def call(self, method: str, path: str, **options: Any) -> Any:
        """A request to the job service, again while it is away."""

        def answered() -> httpx.Response | None:
            try:
                answer = httpx.request(method, self.url("service") + path, trust_env=False, timeout=20, **options)
            except httpx.HTTPError:
                return None
            return answer if answer.status_code < 500 else None

        answer = eventually(answered, within=120, every=0.2, what=f"{method} {path}")
        assert answer.status_code < 400, answer.text
        return answer.json()

    def close(self) -> None:
        """End everything; a guardian ends the job of a worker that is gone."""
        for process in self.running.values():
            process.kill()
            process.wait()
