"""A service as a real process on free ports of the loopback interface."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).resolve().parents[2]
_PATHS = (
    ROOT,
    *(ROOT / "services" / n for n in ("sandbox", "retriever", "teacher", "trainer", "evaluator", "console")),
)
START_TIMEOUT_S = 90.0
EXIT_TIMEOUT_S = 300.0


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's environment without settings of services, with the sources on the path."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("MENTOR_")}
    paths = os.pathsep.join(str(path) for path in _PATHS)
    return {**kept, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1", **(extra or {})}


class ServiceProcess:
    """A running service; ``http`` and ``grpc`` say where it listens. ``options`` are those of ``subprocess.Popen``."""

    def __init__(
        self,
        module: str,
        *arguments: str,
        env: Mapping[str, str] | None = None,
        python: str = sys.executable,
        grpc: bool = True,
        **options: Any,
    ) -> None:
        command = [python, "-m", module, "--port", "0", "--grpc-port", "0" if grpc else "-1", *arguments]
        self.process = subprocess.Popen(command, env=environment(env), stderr=subprocess.PIPE, text=True, **options)
        self.lines: list[str] = []
        self._listening = threading.Event()
        self.http = ""
        self.grpc = ""
        threading.Thread(target=self._read, daemon=True).start()
        if not self._listening.wait(START_TIMEOUT_S):
            self.process.kill()
            raise AssertionError(f"{module} did not start:\n{self.output}")

    @property
    def output(self) -> str:
        """Standard error so far."""
        return "\n".join(self.lines)

    @property
    def records(self) -> list[dict[str, Any]]:
        """Log records so far."""
        return [json.loads(line) for line in self.lines if line.startswith("{")]

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(line.rstrip("\n"))
            if '"event": "listening"' in line:
                record = json.loads(line)
                self.http, self.grpc = record["http"], record["grpc"]
                self._listening.set()
        if not self.http:
            time.sleep(0.1)

    def get(self, path: str, **options: Any) -> httpx.Response:
        """GET from the service."""
        return httpx.get(self.http + path, trust_env=False, **options)

    def post(self, path: str, body: Any, timeout: float = 60.0, **options: Any) -> httpx.Response:
        """POST JSON to the service."""
        return httpx.post(self.http + path, json=body, timeout=timeout, trust_env=False, **options)

    def metric(self, name: str, **labels: str) -> float:
        """The value of one sample in the exposition; 0 if it is not there."""
        shown = ",".join(f'{key}="{value}"' for key, value in sorted(labels.items()))
        wanted = f"{name}{{{shown}}} " if shown else f"{name} "
        for line in self.get("/metrics").text.splitlines():
            if line.startswith(wanted):
                return float(line.removeprefix(wanted))
        return 0.0

    def stop(self) -> int:
        """SIGTERM, then the exit code; SIGKILL if it does not go."""
        self.process.terminate()
        try:
            return self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()


@contextmanager
def running_process(module: str, *arguments: str, env: Mapping[str, str] | None = None) -> Iterator[ServiceProcess]:
    """A service process for the duration of the block."""
    service = ServiceProcess(module, *arguments, env=env)
    try:
        yield service
    finally:
        service.stop()


def run_to_exit(module: str, *arguments: str, env: Mapping[str, str] | None = None) -> tuple[int, str]:
    """Start a service that is expected to refuse: its exit code and standard error."""
    command = [sys.executable, "-m", module, *arguments]
    done = subprocess.run(command, env=environment(env), capture_output=True, text=True, timeout=EXIT_TIMEOUT_S)
    return done.returncode, done.stderr
