"""Bring a local stack up, tell how it is, take it down so that nothing is left."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import psutil

from mentor.data.files import unwritable, write_text
from mentor.errors import ConflictError, InfrastructureError, UserError
from mentor.jobs.embedded_redis import redis_url, wait_for_redis
from mentor.jobs.processes import kill_until_gone
from mentor.local.layout import STACK_VARIABLE, ProcessSpec, StackSpec, process_specs
from mentor.trajectory import Frozen

START_SECONDS = 120.0
STOP_SECONDS = 115.0
_STATE = "stack.json"


class Running(Frozen):
    """A started process."""

    name: str
    pid: int
    ready_url: str | None = None


class StackState(Frozen):
    """What is written down of a running stack."""

    spec: StackSpec
    processes: tuple[Running, ...]


def up(spec: StackSpec, report: Callable[[str], None] = lambda line: None) -> StackState:
    """Start everything and wait until every service is ready; on failure everything is taken down again.

    Raises:
        ConflictError: this stack is up already.
        UserError: a port is taken or the home cannot be written, naming it.
        InfrastructureError: a process did not come up; its last log line is in the message.
    """
    if alive(spec):
        raise ConflictError(f"a stack is already up in {spec.folder}", field="home", allowed="`mentor down` first")
    _check_home(spec)
    _check_ports(spec)
    specs = process_specs(spec)
    started: list[Running] = []
    try:
        for process in specs:
            started.append(_start(spec, process))
            if process.name == "redis":
                wait_for_redis(redis_url(spec.redis_folder))
            report(f"started {process.name}")
        state = StackState(spec=spec, processes=tuple(started))
        write_text(spec.folder / _STATE, state.model_dump_json(indent=2) + "\n")
        for running in started:
            _wait_ready(spec, running)
            report(f"{running.name} is ready")
    except BaseException:
        down(spec)
        raise
    return state


def down(spec: StackSpec, report: Callable[[str], None] = lambda line: None) -> int:
    """Stop the stack: gracefully in reverse order, then whatever is left. Returns how many processes there were."""
    processes = alive(spec)
    state = load_state(spec)
    order = [p.pid for p in state.processes] if state else []
    # Workers give their jobs back before Redis goes; whoever is not in the state file is first.
    ranked = sorted(processes, key=lambda p: order.index(p.pid) if p.pid in order else len(order), reverse=True)
    redis_pid = order[0] if order else None
    tops = [p for p in ranked if p.pid in order and p.pid != redis_pid]
    for process in tops:
        with contextlib.suppress(psutil.Error):
            process.send_signal(signal.SIGTERM)
    psutil.wait_procs(tops, timeout=STOP_SECONDS)
    report("services and workers have stopped")
    with contextlib.suppress(psutil.Error):
        if redis_pid is not None:
            redis = psutil.Process(redis_pid)
            if redis in processes:
                redis.terminate()
                redis.wait(10)
    kill_until_gone(lambda: alive(spec))
    (spec.folder / _STATE).unlink(missing_ok=True)
    return len(processes)


def alive(spec: StackSpec) -> list[psutil.Process]:
    """Every living process of this stack, found by the variable that all of them inherit."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.environ().get(STACK_VARIABLE) == spec.mark and process.pid != os.getpid():
                found.append(process)
    return found


def load_state(spec: StackSpec) -> StackState | None:
    """What was written down when the stack came up, or None."""
    path = spec.folder / _STATE
    try:
        return StackState.model_validate_json(path.read_text())
    except (OSError, ValueError):
        return None


def status(spec: StackSpec) -> list[dict[str, object]]:
    """Each process: whether it lives and whether it is ready."""
    state = load_state(spec)
    rows: list[dict[str, object]] = []
    for running in state.processes if state else ():
        living = psutil.pid_exists(running.pid)
        ready = _answers(running.ready_url) if running.ready_url else living
        rows.append({"name": running.name, "pid": running.pid, "alive": living, "ready": ready})
    return rows


def _check_home(spec: StackSpec) -> None:
    try:
        (spec.folder / "logs").mkdir(parents=True, exist_ok=True)
        spec.redis_folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_text(spec.folder / ".probe", "probe\n")
        (spec.folder / ".probe").unlink()
    except OSError as error:
        raise unwritable(spec.folder, error) from error


def _check_ports(spec: StackSpec) -> None:
    taken = next((port for port in spec.ports() if not is_free(port)), None)
    if taken is not None:
        allowed = "free ports: stop what uses it, or --port-offset N"
        raise UserError(f"port {taken} is taken", field="port_offset", allowed=allowed)


def is_free(port: int) -> bool:
    """Whether a port of the loopback interface can be listened on (one that was just released can)."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _start(spec: StackSpec, process: ProcessSpec) -> Running:
    environment = os.environ | {STACK_VARIABLE: spec.mark} | process.env
    with (spec.folder / "logs" / f"{process.name}.log").open("ab") as log:
        child = subprocess.Popen(
            process.command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    return Running(name=process.name, pid=child.pid, ready_url=process.ready_url)


def _wait_ready(spec: StackSpec, running: Running) -> None:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until:
        if not _lives(running.pid):
            raise InfrastructureError(f"{running.name} ended at start: {last_line(spec, running.name)}")
        if running.ready_url is None or _answers(running.ready_url):
            return
        time.sleep(0.1)
    raise InfrastructureError(
        f"{running.name} is not ready after {START_SECONDS:.0f} s: {last_line(spec, running.name)}"
    )


def _lives(pid: int) -> bool:
    with contextlib.suppress(psutil.Error):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2.0, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


def last_line(spec: StackSpec, name: str) -> str:
    """The last line of a process's log: what it said before it ended."""
    path = Path(spec.folder, "logs", f"{name}.log")
    lines = [line for line in path.read_text(errors="replace").splitlines() if line.strip()] if path.exists() else []
    if not lines:
        return f"no output in {path}"
    try:
        return str(json.loads(lines[-1]).get("event", lines[-1]))
    except (json.JSONDecodeError, AttributeError):
        return lines[-1]
