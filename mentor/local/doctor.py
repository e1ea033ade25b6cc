"""``mentor doctor``: what the machine can and cannot do, and what to do about it."""

from __future__ import annotations

import ctypes
import importlib.util
import os
import shutil
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Literal

import psutil

from mentor.errors import UserError
from mentor.jobs.embedded_redis import redis_binary
from mentor.local.layout import StackSpec
from mentor.local.stack import is_free
from mentor.trajectory import Frozen

Level = Literal["ok", "warn", "fail"]
_GIB = 2**30
_LANDLOCK_CREATE_RULESET = 444
_LANDLOCK_VERSION_FLAG = 1
_PACKAGES = ("torch", "verl", "transformers", "celery", "faiss", "bm25s", "math_verify", "grpc", "fastapi")


class Finding(Frozen):
    """One check. ``fail`` means that local mode cannot run; ``warn`` that something is weaker or missing."""

    name: str
    level: Level
    found: str
    advice: str = ""


def examine(spec: StackSpec) -> list[Finding]:
    """Every check, in the order in which a person would ask."""
    checks: Iterable[Callable[[], Finding]] = (
        _python, _packages, _redis, _cores, _memory, lambda: _disk(spec), lambda: _home(spec), lambda: _ports(spec),
        _landlock, _seccomp, _namespaces, _gpu,
    )  # fmt: skip
    return [check() for check in checks]


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    good = (3, 11) <= sys.version_info[:2] < (3, 13)
    advice = "" if good else "use Python 3.11 or 3.12: verl needs it"
    return Finding(name="Python", level="ok" if good else "fail", found=version, advice=advice)


def _packages() -> Finding:
    missing = [name for name in _PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        return Finding(name="packages", level="fail", found=f"missing: {', '.join(missing)}", advice="run `make setup`")
    return Finding(name="packages", level="ok", found="all of local mode's")


def _redis() -> Finding:
    try:
        return Finding(name="Redis", level="ok", found=Path(redis_binary()).name)
    except UserError as error:
        return Finding(name="Redis", level="fail", found=error.message, advice=error.allowed or "")


def _cores() -> Finding:
    usable = len(os.sched_getaffinity(0))
    few = usable < 2
    return Finding(
        name="CPU cores", level="warn" if few else "ok", found=str(usable),
        advice="the demo takes about twice as long on one core" if few else "",
    )  # fmt: skip


def _memory() -> Finding:
    free = psutil.virtual_memory().available / _GIB
    advice = "the demo needs up to 12 GiB: close other programs" if free < 12 else ""
    level: Level = "ok" if free >= 12 else "warn" if free >= 6 else "fail"
    return Finding(name="free memory", level=level, found=f"{free:.1f} GiB", advice=advice)


def _disk(spec: StackSpec) -> Finding:
    existing = next(folder for folder in (spec.folder, *spec.folder.parents) if folder.exists())
    free = shutil.disk_usage(existing).free / _GIB
    level: Level = "ok" if free >= 5 else "warn" if free >= 1 else "fail"
    advice = "" if level == "ok" else f"free some space under {existing}: checkpoints and logs go there"
    return Finding(name="free disk", level=level, found=f"{free:.1f} GiB", advice=advice)


def _home(spec: StackSpec) -> Finding:
    existing = next(folder for folder in (spec.folder, *spec.folder.parents) if folder.exists())
    good = os.access(existing, os.W_OK)
    advice = "" if good else "choose another with --home or MENTOR_HOME"
    return Finding(name="home", level="ok" if good else "fail", found=str(spec.folder), advice=advice)


def _ports(spec: StackSpec) -> Finding:
    taken = [port for port in spec.ports() if not is_free(port)]
    if taken:
        found = f"taken: {', '.join(map(str, taken))}"
        return Finding(name="ports", level="warn", found=found, advice="`mentor down`, or choose --port-offset N")
    return Finding(name="ports", level="ok", found="all free")


def _landlock() -> Finding:
    libc = ctypes.CDLL(None, use_errno=True)
    version = libc.syscall(_LANDLOCK_CREATE_RULESET, None, 0, _LANDLOCK_VERSION_FLAG)
    if version < 1:
        advice = "a kernel of 5.13 or later with Landlock enabled; until then the sandbox's file wall is missing"
        return Finding(name="Landlock", level="warn", found="not available", advice=advice)
    return Finding(name="Landlock", level="ok", found=f"ABI {version}")


def _seccomp() -> Finding:
    try:
        actions = Path("/proc/sys/kernel/seccomp/actions_avail").read_text().split()
    except OSError:
        return Finding(name="seccomp", level="warn", found="not available", advice="a kernel with seccomp filters")
    return Finding(name="seccomp", level="ok", found=f"{len(actions)} actions")


def _namespaces() -> Finding:
    limit = Path("/proc/sys/user/max_user_namespaces")
    allowed = limit.exists() and limit.read_text().strip() != "0"
    found = "allowed" if allowed else "refused"
    return Finding(name="user namespaces", level="ok", found=f"{found} (an optional outer wall of the sandbox)")


def _gpu() -> Finding:
    devices = sorted(path.name for path in Path("/dev").glob("nvidia[0-9]*"))
    if devices:
        return Finding(name="GPU", level="ok", found=", ".join(devices))
    advice = "none needed for the demo; real models want the GPU images"
    return Finding(name="GPU", level="warn", found="none", advice=advice)
