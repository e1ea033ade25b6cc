"""The walls around a call, one file each. Standard library only: the zygotes import them.

Covered: what a call can read (Landlock), whom it can signal or trace (seccomp, Landlock scopes), the network (seccomp,
Landlock ports), processes it can start (none), CPU, memory, files and their sizes (rlimits), privileges (none to gain,
none kept), what it inherits (no descriptor, no environment), and what it leaves behind (its scratch is removed, its
process group and every orphan is killed).

Not covered: the existence and size of files (Landlock does not hide ``stat``), side channels of shared hardware, bugs
of the kernel. For those put the whole service into a locked-down container, or under another kernel (gVisor).
"""

from __future__ import annotations

from mentor_sandbox.walls import landlock, rlimits, seccomp

ALWAYS = ("process", "session", "environment", "descriptors", "no_new_privs", "capabilities", "scratch")


def standing() -> dict[str, str]:
    """Every wall and how it stands on this machine: ``on``, or why it does not."""
    found = dict.fromkeys(ALWAYS, "on")
    found["rlimits"] = rlimits.state()
    found["landlock"] = landlock.state()
    found["seccomp"] = seccomp.state()
    return found
