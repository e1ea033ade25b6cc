"""A Ray cluster on this machine: a head with the job server, and nodes with a logical GPU each, all real raylets."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.support.chaos import free_port
from tests.support.service_process import environment
from tests.support.waiting import eventually

RAY = str(Path(sys.executable).parent / "ray")


class Cluster:
    """``address`` is the job server's URL, as ``ray_address`` of a spec names it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port, self.dashboard = free_port(), free_port()
        self.address = f"http://127.0.0.1:{self.dashboard}"
        self.nodes: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        """The head, until its job server answers."""
        self._start(
            # The port of the agent that takes jobs is a fixed one else, which another Ray of this machine may have.
            "--head", f"--dashboard-agent-listen-port={free_port()}", f"--port={self.port}", "--num-cpus=8", "--num-gpus=0",
            "--include-dashboard=true",
            "--dashboard-host=127.0.0.1", f"--dashboard-port={self.dashboard}", f"--temp-dir={self.folder / 'head'}",
        )  # fmt: skip
        eventually(self._answers, within=120, what="the job server")

    def add_node(self) -> subprocess.Popen[bytes]:
        """Another node, with a logical GPU and a folder of its own."""
        node = self._start(f"--address=127.0.0.1:{self.port}", "--num-cpus=6", "--num-gpus=1")
        up = sum(one.poll() is None for one in self.nodes)  # those that were killed are told of late
        eventually(lambda: len(self.resources()) == up, within=240, what="another node, and no dead one")
        return node

    def resources(self) -> list[Any]:
        """Nodes that are alive."""
        headers = {"Authorization": f"Bearer {os.environ['RAY_AUTH_TOKEN']}"}
        answer = httpx.get(f"{self.address}/nodes?view=summary", headers=headers, timeout=30).json()
        return [n for n in answer["data"]["summary"] if n["raylet"]["state"] == "ALIVE"]

    def kill(self, node: subprocess.Popen[bytes]) -> None:
        """SIGKILL to a node's raylet and everything that runs on it, as a machine that is switched off."""
        tree = [*psutil.Process(node.pid).children(recursive=True), psutil.Process(node.pid)]
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for process in tree:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.send_signal(number)
        node.wait()

    def stop(self) -> None:
        """End all nodes, the head last."""
        for node in reversed(self.nodes):
            if node.poll() is None:
                self.kill(node)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _start(self, *arguments: str) -> subprocess.Popen[bytes]:
        env = environment(
            {"RAY_memory_monitor_refresh_ms": "0", "RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0"}
        )
        env["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        command = [
            RAY,
            "start",
            "--block",
            "--node-ip-address=127.0.0.1",
            "--object-store-memory=200000000",
            *arguments,
        ]
        log = (self.folder / f"node{len(self.nodes)}.log").open("wb")
        node = subprocess.Popen(command, env=env, stdout=log, stderr=log, start_new_session=True)
        self.nodes.append(node)
        return node

    def _answers(self) -> bool:
        with contextlib.suppress(httpx.HTTPError, KeyError, ValueError):
            return bool(self.resources())
        return False


@contextlib.contextmanager
def running_cluster(nodes: int) -> Iterator[Cluster]:
    """A cluster with so many nodes beside its head, and a token that this process and its children know.

    Its folder is short: paths of sockets may have 107 characters.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_MODE", "token")
        patch.setenv("RAY_AUTH_TOKEN", secrets.token_hex(32))
        cluster = Cluster(Path(tempfile.mkdtemp(prefix="mrc-")))
        try:
            cluster.start()
            for _ in range(nodes):
                cluster.add_node()
            yield cluster
        finally:
            cluster.stop()
