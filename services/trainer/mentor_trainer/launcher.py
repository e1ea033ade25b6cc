"""Launchers: where the process that trains is started, watched and ended. A local process, or a job on a Ray cluster."""

from __future__ import annotations

import contextlib
import getpass
import os
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any, Protocol

import psutil

from mentor.errors import InfrastructureError
from mentor.jobs.processes import carrying, kill_until_gone
from mentor.trajectory import Frozen
from mentor_trainer.verl_ext import RAY_TEMP_VARIABLE

RUN_VARIABLE = "MENTOR_TRAIN_RUN"
"""Set in the environment of a local run; every process it starts inherits it, daemons too."""
_TERM_SECONDS = 5.0
_SUBMIT_SECONDS = 60.0
"""How long a job server is asked again that takes no job."""
_FOLDER_PREFIX = "mray-"
_SETTLED_SECONDS = 60.0
"""A folder younger than this may belong to a run that is just starting."""


class Command(Frozen):
    """What to start. ``environment`` is laid over the launcher's own; output goes to ``log``."""

    arguments: tuple[str, ...]
    environment: dict[str, str]
    log: Path


class Launcher(Protocol):
    """Starts one command at a time per handle; a handle is a string that outlives this process."""

    def submit(self, command: Command) -> str:
        """Start it; returns the handle."""
        ...

    def poll(self, handle: str) -> int | None:
        """Exit code, or None while it runs. A process of somebody else's that is gone counts as failed."""
        ...

    def stop(self, handle: str) -> None:
        """End it and everything it started; returns when nothing of it is alive."""
        ...

    def reattach(self, handle: str) -> bool:
        """Take up a handle of an earlier process; False if what it names no longer runs."""
        ...


class LocalProcess:
    """A process group on this machine with a Ray instance of its own, in a temporary folder of its own.

    Ray's daemons leave the process group and outlive a killed driver; they are found by the environment variable
    ``MENTOR_TRAIN_RUN``, which whatever the run starts inherits.
    """

    def __init__(self) -> None:
        self._children: dict[str, subprocess.Popen[bytes]] = {}

    def submit(self, command: Command) -> str:
        sweep()
        run = uuid.uuid4().hex[:12]
        environment = {**os.environ, **command.environment, RUN_VARIABLE: run, RAY_TEMP_VARIABLE: str(ray_folder(run))}
        environment.pop("RAY_ADDRESS", None)  # never somebody else's cluster
        command.log.parent.mkdir(parents=True, exist_ok=True)
        with command.log.open("ab") as log:
            child = subprocess.Popen(
                command.arguments,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._children[run] = child
        return f"{run}:{child.pid}"

    def poll(self, handle: str) -> int | None:
        run, pid = _parse(handle)
        if run in self._children:
            return self._children[run].poll()
        return None if _is_ours(pid, run) else 1

    def stop(self, handle: str) -> None:
        run, pid = _parse(handle)
        if self.poll(handle) is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGTERM)
            until = time.monotonic() + _TERM_SECONDS
            while self.poll(handle) is None and time.monotonic() < until:
                time.sleep(0.05)
        kill_until_gone(lambda: processes_of(run))
        if run in self._children:
            self._children[run].wait()
        shutil.rmtree(ray_folder(run), ignore_errors=True)

    def reattach(self, handle: str) -> bool:
        run, pid = _parse(handle)
        return _is_ours(pid, run)


class RayJob:
    """A job of a Ray cluster, through its job server (KubeRay's head node on Kubernetes).

    Args:
        address: URL of the job server, for example ``http://ray-head:8265``.
        client: a ``ray.job_submission.JobSubmissionClient``; made from ``address`` where None.
    """

    def __init__(self, address: str, client: Any = None) -> None:
        self.address = address
        self._client = client
        self._logs: dict[str, Path] = {}

    @property
    def client(self) -> Any:
        """The submission client.

        Raises:
            InfrastructureError: nothing answers at the address.
        """
        if self._client is None:
            from ray.job_submission import JobSubmissionClient

            try:
                self._client = JobSubmissionClient(self.address)
            except (ConnectionError, RuntimeError) as error:
                raise InfrastructureError(f"no Ray job server at {self.address}: {error}") from error
        return self._client

    def submit(self, command: Command) -> str:
        handle = f"mentor-{uuid.uuid4().hex[:12]}"
        # The cluster's image has its own interpreter and packages.
        environment = {k: v for k, v in command.environment.items() if k != "PYTHONPATH"}
        entrypoint = shlex.join(("python", *command.arguments[1:]))
        until = time.monotonic() + _SUBMIT_SECONDS
        while True:
            try:
                self._ask(
                    "submit_job", entrypoint=entrypoint, submission_id=handle, runtime_env={"env_vars": environment}
                )
            except InfrastructureError:  # among others: a head that has just started has no agent yet
                if time.monotonic() > until:
                    raise
                time.sleep(1.0)
            else:
                self._logs[handle] = command.log
                return handle

    def poll(self, handle: str) -> int | None:
        status = str(getattr(self._ask("get_job_status", handle), "value", ""))
        if status in ("PENDING", "RUNNING"):
            return None
        return 0 if status == "SUCCEEDED" else 1

    def stop(self, handle: str) -> None:
        if self.poll(handle) is None:
            self._ask("stop_job", handle)
        while self.poll(handle) is None:
            time.sleep(0.5)
        if handle in self._logs:
            self._logs[handle].parent.mkdir(parents=True, exist_ok=True)
            self._logs[handle].write_text(str(self._ask("get_job_logs", handle)))

    def reattach(self, handle: str) -> bool:
        return self.poll(handle) is None

    def _ask(self, call: str, *arguments: Any, **fields: Any) -> Any:
        """One request to the job server.

        Raises:
            InfrastructureError: it is away, or refuses.
        """
        try:
            return getattr(self.client, call)(*arguments, **fields)
        except (OSError, RuntimeError) as error:  # what requests raises is an OSError
            raise InfrastructureError(f"the Ray job server at {self.address} did not {call}: {error}") from error


def ray_folder(run: str) -> Path:
    """Folder of a run's private Ray. Short: the paths of its Unix sockets may have 107 characters."""
    return Path(tempfile.gettempdir()) / f"{_FOLDER_PREFIX}{run}"


def sweep() -> None:
    """Remove Ray folders of runs of which nothing is alive: what a killed supervisor left behind."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_FOLDER_PREFIX}*"):
        old = time.time() - folder.stat().st_mtime > _SETTLED_SECONDS
        if old and folder.owner() == getpass.getuser() and not processes_of(folder.name.removeprefix(_FOLDER_PREFIX)):
            shutil.rmtree(folder, ignore_errors=True)


def processes_of(run: str) -> list[psutil.Process]:
    """Living processes that carry a run's mark, this one and its ancestors excepted."""
    return carrying(RUN_VARIABLE, run)


def _is_ours(pid: int, run: str) -> bool:
    with contextlib.suppress(psutil.Error, OSError):
        process = psutil.Process(pid)
        return process.status() != psutil.STATUS_ZOMBIE and process.environ().get(RUN_VARIABLE) == run
    return False


def _parse(handle: str) -> tuple[str, int]:
    run, _, pid = handle.partition(":")
    return run, int(pid)
