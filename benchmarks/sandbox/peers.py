"""The peers that the sandbox is measured beside, each a server on a free port of the loopback interface.

SandboxFusion runs from a checkout of its sources (``MENTOR_BENCH_SANDBOX_FUSION=DIR``) with the Python of a virtual
environment that has its requirements (``MENTOR_BENCH_SANDBOX_FUSION_PYTHON=VENV/bin/python``); without them it is left
out, and the output says so. It takes the environment for a conda installation if there is an empty folder ``condabin``
at its root (its calls then run that same Python), and wants a folder ``docs/build`` in the checkout.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from tests.support.service_process import environment

FUSION, FUSION_PYTHON = "MENTOR_BENCH_SANDBOX_FUSION", "MENTOR_BENCH_SANDBOX_FUSION_PYTHON"
_START_S = 120.0


class Peer:
    """A running peer."""

    def __init__(self, process: subprocess.Popen[bytes], port: int) -> None:
        self.process = process
        self.port = port

    def stop(self) -> None:
        """End it and whatever it started."""
        family = psutil.Process(self.process.pid).children(recursive=True)
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
        for child in family:
            if child.is_running():
                child.kill()


@contextmanager
def stand_in(module: str, *arguments: str) -> Iterator[Peer]:
    """One of the servers written for the benchmark."""
    port = _free_port()
    command = [sys.executable, "-m", f"benchmarks.sandbox.{module}", str(port), *arguments]
    with _running(command, port, environment(), None) as peer:
        yield peer


@contextmanager
def sandbox_fusion() -> Iterator[Peer | None]:
    """SandboxFusion from its sources; None if it is not to be had."""
    checkout = os.environ.get(FUSION)
    if not checkout:
        yield None
        return
    port = _free_port()
    python = os.environ.get(FUSION_PYTHON, sys.executable)
    command = [python, "-m", "uvicorn", "sandbox.server.server:app", "--host", "127.0.0.1", "--port", str(port)]
    variables = {"PATH": os.environ.get("PATH", ""), "HOME": os.environ.get("HOME", "/"), "LOG_LEVEL": "ERROR"}
    with _running(command, port, variables, Path(checkout)) as peer:
        yield peer


@contextmanager
def _running(command: list[str], port: int, variables: dict[str, str], cwd: Path | None) -> Iterator[Peer]:
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, env=variables, cwd=cwd, stdout=log, stderr=subprocess.STDOUT)
        peer = Peer(process, port)
        try:
            _wait(process, port)
            yield peer
        except AssertionError:
            log.seek(0)
            print(log.read()[-2000:].decode("utf-8", "replace"), file=sys.stderr)
            raise
        finally:
            if process.poll() is None:
                peer.stop()


def _wait(process: subprocess.Popen[bytes], port: int) -> None:
    until = time.monotonic() + _START_S
    while time.monotonic() < until and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise AssertionError(f"{process.args!r} did not start")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
