"""Server. Kinds of zygotes: what each has imported and is told at its start, and which one a source needs."""

from __future__ import annotations

import re
import sys
import sysconfig
from collections.abc import Collection
from pathlib import Path

from mentor_sandbox.settings import MIB, SandboxSettings

PACKAGE_ROOT = str(Path(__file__).resolve().parents[3])
ENVIRONMENT = {
    # glibc's allocator on huge pages makes a fork copy far fewer page tables than pymalloc's arenas do.
    "PYTHONMALLOC": "malloc",
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
}
_CORE = (
    *("bisect", "collections", "dataclasses", "datetime", "decimal", "fractions", "functools", "heapq"),
    *("itertools", "json", "math", "operator", "random", "re", "statistics", "string", "typing"),
)
KINDS: dict[str, tuple[str, ...]] = {
    "core": _CORE,
    "scientific": (*_CORE, "numpy", "numpy.random", "sympy"),
    "web": (*_CORE, "requests"),
}
WEB = "web"
"""The one kind whose children may have sockets, and only to the ports that their request names."""
_THREADS_PER_UID, _THREADS_PER_USER = 64, 4096
"""RLIMIT_NPROC: tight where a call has a user id of its own; else it counts everything else of the same user too."""
_SYSTEM_PATHS = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/usr/share/zoneinfo")
_SYSTEM_FILES = ("/etc/ld.so.cache", "/etc/localtime", "/dev/null", "/dev/zero", "/dev/urandom", "/dev/random")
_SCIENTIFIC = re.compile(r"^\s*(?:import|from)\s+(?:numpy|sympy|scipy|pandas|mpmath)\b", re.MULTILINE)
_WEB = re.compile(r"^\s*(?:import|from)\s+(?:requests|urllib3)\b", re.MULTILINE)


def kind_for(source: str, hosts: Collection[str] = ()) -> str:
    """The zygote for a source: the one that may have sockets if it may reach hosts, else the one that has what it imports.

    A guess by its text: a wrong one costs time, nothing else.
    """
    if hosts:
        return WEB
    if _SCIENTIFIC.search(source):
        return "scientific"
    return WEB if _WEB.search(source) else "core"


def readable_paths() -> list[str]:
    """What every child may read: the interpreter, its packages, system libraries and a few devices."""
    paths = sysconfig.get_paths()
    interpreter = [paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    return [*interpreter, str(Path(sys.base_prefix, "lib")), *_SYSTEM_PATHS, *_SYSTEM_FILES]


def zygote_config(kind: str, settings: SandboxSettings, *, uids: bool) -> dict[str, object]:
    """What a zygote must know, once and for all its children."""
    return {
        "modules": KINDS[kind],
        "hidden": [PACKAGE_ROOT],
        "readable": readable_paths(),
        "devices": ["/dev/null"],
        "network": kind == WEB,
        "uids": uids,
        "processes": _THREADS_PER_UID if uids else _THREADS_PER_USER,
        "file_bytes": settings.file_mb * MIB,
        "result_bytes": settings.result_mb * MIB,
        "open_files": settings.open_files,
    }
