"""A retriever of whatever make as a process: started until its first answer, and what that cost."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from benchmarks.retriever.corpus import Corpus
from benchmarks.retriever.encoder import exported, model_folder
from benchmarks.retriever.load import body, ranking
from tests.support.service_process import environment

_START_S = 280.0
_POLL_S = 0.05


@dataclass(frozen=True)
class Start:
    """From the start of the process to its first answer: seconds, CPU seconds of the process tree; then its memory.

    Bytes over the process tree, as the kernel counts them: ``dirty`` of private pages that only this server can have
    (``Private_Dirty``); ``clean`` of file pages that no other process maps at this time (``Private_Clean``): page
    cache that the kernel can drop and another server could share; ``resident`` of all.
    """

    wall_s: float
    cpu_s: float
    dirty: int
    clean: int
    resident: int


@dataclass(frozen=True)
class Server:
    """A running retriever that has answered one query."""

    name: str
    route: str
    port: int
    start: Start

    def ask(self, query: str, route: str | None = None) -> list[tuple[str, float]]:
        """Ids and scores of the best passages; over another of its routes, if one is named."""
        answer = _post(self.port, route or self.route, query)
        if answer is None:
            raise AssertionError(f"{self.name} did not answer {query!r}")
        return ranking(route or self.route, answer)


@contextmanager
def ours(corpus: Corpus, settings: Sequence[str] = (), name: str = "ours") -> Iterator[Server]:
    """This repository's retriever; ``settings`` are further ``NAME=VALUE``, with ONNX among them its exported encoder."""
    onnx = any(setting.startswith("encoder_backend=onnx") for setting in settings)
    model = exported(corpus.passages.parent) if onnx else model_folder()
    port = free_port()
    command = [sys.executable, "-m", "mentor_retriever", "--port", str(port), "--log-level", "warning"]
    command += ["--corpus-path", str(corpus.passages), "--index-path", str(corpus.index)]
    command += ["--retrieval-method", "dense", "--retrieval-model-path", str(model)]
    # Most vectors of the corpus are synthetic, which the service would notice.
    for setting in ("grpc_port=-1", "check_vectors=false", *settings):
        command += ["--set", setting]
    with running(name, "/retrieve", port, command) as server:
        yield server


@contextmanager
def running(
    name: str, route: str, port: int, command: Sequence[str], variables: Mapping[str, str] | None = None
) -> Iterator[Server]:
    """Start, wait for an answer, stop with whatever it started; a failed start shows the end of its log.

    All servers get the same environment: the caller's without settings of services, without a number of OpenMP
    threads unless ``variables`` give one, and no way to a model hub.
    """
    env = {**environment(), "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}
    del env["OMP_NUM_THREADS"]
    paths = os.pathsep.join(path for path in ((variables or {}).get("PYTHONPATH"), env["PYTHONPATH"]) if path)
    with tempfile.TemporaryFile() as log:
        begun = time.perf_counter()
        process = subprocess.Popen(
            command, env={**env, **(variables or {}), "PYTHONPATH": paths}, stdout=log, stderr=subprocess.STDOUT
        )
        try:
            start = _first_answer(process, port, route, begun)
            if start is None:
                log.seek(0)
                raise AssertionError(f"{name} did not start:\n" + log.read()[-3000:].decode("utf-8", "replace"))
            print(f"{name} up after {start.wall_s:.1f} s", file=sys.stderr, flush=True)
            yield Server(name, route, port, start)
        finally:
            _stop(process)


def _first_answer(process: subprocess.Popen[bytes], port: int, route: str, begun: float) -> Start | None:
    while time.perf_counter() - begun < _START_S and process.poll() is None:
        if _post(port, route, "Who was the first?") is not None:
            wall, family = time.perf_counter() - begun, _family(process.pid)
            cpu = sum(_cpu(member) for member in family)
            dirty, clean, resident = (
                sum(_memory(member.pid, field) for member in family)
                for field in ("Private_Dirty", "Private_Clean", "Rss")
            )
            return Start(wall, cpu, dirty, clean, resident)
        time.sleep(_POLL_S)
    return None


def _post(port: int, route: str, query: str) -> Any:
    """The answer; None while the server does not listen or says that it is not ready."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    try:
        connection.request("POST", route, json.dumps(body(route, query)), {"Content-Type": "application/json"})
        response = connection.getresponse()
        content = response.read()
    except OSError:
        return None
    finally:
        connection.close()
    return json.loads(content) if response.status == 200 else None


def _family(pid: int) -> list[psutil.Process]:
    process = psutil.Process(pid)
    return [process, *process.children(recursive=True)]


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system + times.children_user + times.children_system)


def _memory(pid: int, field: str) -> int:
    """Bytes, as the kernel sums the process's mappings."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()[1:]
    values = dict(line.split(":") for line in lines)
    return int(values[field].split()[0]) * 1024


def _stop(process: subprocess.Popen[bytes]) -> None:
    family = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for child in family:
        if child.is_running():
            child.kill()


def free_port() -> int:
    """One of the loopback interface that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
