"""What starts an engine, and in which environment. Operators say so: ``MENTOR_ENGINE_<NAME>``, never a spec."""

from __future__ import annotations

import importlib.util
import os
import shlex
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from mentor.errors import UserError
from mentor.inference.engines import Engine, Launch
from mentor.jobs.capacity import DEVICES_VARIABLE, visible_devices
from mentor.jobs.processes import ATTEMPT_VARIABLE

MARK_VARIABLE = "MENTOR_MODEL_SERVER"
"""Set in the environment of a managed server; every process that it starts inherits it."""
_STACK_VARIABLE = "MENTOR_STACK"
_OURS = "MENTOR_"


def variable(engine: str) -> str:
    """The setting that names the program of an engine."""
    return f"MENTOR_ENGINE_{engine.upper().replace('-', '_')}"


def program(engine: Engine, environ: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """The words that a launch's flags are put behind.

    The operator's setting is an interpreter that has the engine (``/opt/vllm/bin/python``), or a whole command. Without it
    this interpreter is taken, if the engine is installed beside it.

    Raises:
        UserError: the engine is not set up on this worker.
    """
    name = variable(engine.name)
    given = (os.environ if environ is None else environ).get(name)
    if given:
        words = _split(name, given)
        is_interpreter = len(words) == 1 and Path(words[0]).name.startswith("python")
        return (*words, *engine.program) if is_interpreter else words
    if importlib.util.find_spec(engine.module) is None:
        raise UserError(
            f"engine {engine.name} is not set up on this worker",
            field="model.serve.engine",
            allowed=f"on the worker, {name}: an interpreter that has {engine.module}, or a command",
        )
    return (sys.executable, *engine.program)


def _split(name: str, given: str) -> tuple[str, ...]:
    try:
        words = tuple(shlex.split(given))
    except ValueError as error:
        raise UserError(f"{name}: {error}", field=name, allowed="an interpreter, or a command") from None
    if not words or shutil.which(words[0]) is None:
        raise UserError(
            f"{name}: {given!r} names no program of this worker", field=name, allowed="a path, or a name in PATH"
        )
    return words


def command(words: tuple[str, ...], engine: Engine, launch: Launch, arguments: tuple[str, ...]) -> tuple[str, ...]:
    """The whole command. Another interpreter finds its own packages, not those that PYTHONPATH names for this one."""
    foreign = words[0] != sys.executable
    return (*(("env", "-u", "PYTHONPATH") if foreign else ()), *words, *arguments, *engine.arguments(launch))


def shares(replicas: int) -> list[str | None]:
    """The GPUs of each of several servers, in equal parts of those that this process may use; None: as this process.

    Raises:
        UserError: they cannot be divided so.
    """
    devices = [] if _leased() and DEVICES_VARIABLE not in os.environ else visible_devices() or []
    if replicas == 1 or not devices:
        return [None] * replicas
    if len(devices) % replicas:
        raise UserError(
            f"{replicas} replicas cannot share {len(devices)} GPUs equally", field="model.serve.replicas",
            allowed="a number that divides the GPUs of the job",
        )  # fmt: skip
    size = len(devices) // replicas
    return [",".join(devices[first : first + size]) for first in range(0, len(devices), size)]


def _leased() -> bool:
    """Whether GPUs of this machine belong to jobs by lease."""
    return bool(int(os.environ.get("MENTOR_JOBS_GPUS") or 0))


def environment(engine: Engine, launch: Launch, mark: str) -> dict[str, str]:
    """This process's environment without what is ours: a server needs neither Redis' password nor our keys.

    GPUs are those of the job's lease, or a replica's share of them. Where GPUs are leased and the job holds none, the
    server sees none: they are others'.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
    marks = {name: os.environ[name] for name in (ATTEMPT_VARIABLE, _STACK_VARIABLE) if name in os.environ}
    if launch.devices is not None:
        kept[DEVICES_VARIABLE] = launch.devices
    elif _leased():
        kept.setdefault(DEVICES_VARIABLE, "")
    offline = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "PYTHONUNBUFFERED": "1"}
    return {**kept, **marks, **offline, **engine.environment(launch), MARK_VARIABLE: mark}
