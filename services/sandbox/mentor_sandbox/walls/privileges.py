"""Zygote and child. Nothing to gain and nothing kept: no_new_privs, and every capability dropped."""

from __future__ import annotations

import os
import platform
import struct
from collections.abc import Sequence

from mentor_sandbox.walls.libc import PR_SET_NO_NEW_PRIVS, Buffer, prctl, syscall
from mentor_sandbox.walls.syscalls import NUMBERS

_VERSION_3 = 0x20080522
KILL, SETGID, SETUID, SYS_NICE = 5, 6, 7, 23
"""Capabilities that a zygote keeps where each call gets a user id of its own; a call keeps none."""
FOR_UIDS = (KILL, SETGID, SETUID, SYS_NICE)


def effective() -> int:
    """This process's effective capabilities, a bit each."""
    with open("/proc/self/status", encoding="utf-8", errors="replace") as status:
        line = next((line for line in status if line.startswith("CapEff:")), "CapEff: 0")
    return int(line.split()[1], 16)


def drop(kept: Sequence[int] = ()) -> None:
    """Give up all capabilities of this process but ``kept`` (as far as it has them), and any way to new ones."""
    prctl(PR_SET_NO_NEW_PRIVS, 1)
    mask = sum(1 << number for number in kept) & (effective() if kept else 0)
    header = Buffer(struct.pack("=Ii", _VERSION_3, 0))
    data = Buffer(struct.pack("=IIIIII", mask, mask, 0, 0, 0, 0))
    number = NUMBERS["capset"][0 if platform.machine() == "x86_64" else 1]
    assert number is not None
    syscall(number, header.address, data.address)


def become(uid: int) -> None:
    """Take a user and group id for good and give up the capabilities that allowed it."""
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    drop()
