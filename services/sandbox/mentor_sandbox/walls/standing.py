"""Server. How every wall stands on this machine."""

from __future__ import annotations

from collections.abc import Iterable

from mentor_sandbox.walls import landlock, outer, rlimits, seccomp, uids

ALWAYS = ("process", "session", "environment", "descriptors", "no_new_privs", "capabilities", "scratch")


def standing(wanted_uids: tuple[int, int] | None = None, readable: Iterable[str] = ()) -> dict[str, str]:
    """Every wall and how it stands on this machine: ``on``, or why it does not."""
    found = dict.fromkeys(ALWAYS, "on")
    found["rlimits"] = rlimits.state()
    found["landlock"] = landlock.state()
    found["seccomp"] = seccomp.state()
    found["uid"] = uids.state(wanted_uids, readable)
    return found | outer.found()
