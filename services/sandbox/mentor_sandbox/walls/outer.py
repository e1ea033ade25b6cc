"""Server. Walls around the whole service, which the sandbox finds but does not build: namespaces, cgroup limits, gVisor."""

from __future__ import annotations

import ctypes
import platform
from pathlib import Path

# Inode numbers of the initial namespaces, fixed by the kernel; the network's has one only on recent kernels.
_INITIAL = {"user": {0xEFFFFFFD}, "pid": {0xEFFFFFFC}, "net": {0xEFFFFFF9, 0xF0000000, 0xF0000008}}
_CGROUP = Path("/sys/fs/cgroup")
_READ_LOG = 3
_GVISOR_VERSION = "#1 SMP Sun Jan 10 15:06:54 PST 2016"


def found() -> dict[str, str]:
    """Each outer wall: ``on``, or why it counts for nothing."""
    walls = {f"{kind}_namespace": _namespace(kind) for kind in _INITIAL}
    walls["cgroup"] = cgroup_limits()
    walls["gvisor"] = "on" if under_gvisor() else "off"
    return walls


def _namespace(kind: str) -> str:
    try:
        inode = Path(f"/proc/self/ns/{kind}").stat().st_ino
    except OSError:
        return "unknown"
    return "off: the machine's own" if inode in _INITIAL[kind] else "on"


def cgroup_limits(root: Path = _CGROUP) -> str:
    """``on`` with the limits that are set for this process's cgroup (version 2), else ``off``."""
    limits = {}
    for name in ("memory.max", "cpu.max", "pids.max"):
        try:
            value = (root / name).read_text(encoding="utf-8").strip()
        except OSError:
            continue
        if not value.startswith("max"):
            limits[name.removesuffix(".max")] = value
    shown = ", ".join(f"{name} {value}" for name, value in limits.items())
    return f"on ({shown})" if shown else "off: no limits"


def under_gvisor() -> bool:
    """Whether the kernel is gVisor's: it says so in its log, and its version never changes."""
    if platform.version() == _GVISOR_VERSION:
        return True
    buffer = ctypes.create_string_buffer(4096)
    read = ctypes.CDLL(None).klogctl(_READ_LOG, buffer, len(buffer))
    return read > 0 and b"gVisor" in buffer.raw[:read]
